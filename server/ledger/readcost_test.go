package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

// TestReadsReadLittle: in books where others have done a great deal, what a user with
// a handful of transfers asks for is looked up, whether PostgreSQL has statistics
// of the tables or none, and so does the long history of the others cost no more
// than what is shown of it. Rows are counted, not time.
func TestReadsReadLittle(t *testing.T) {
	t.Parallel()
	for name, statistics := range map[string]string{
		"no statistics": ``, "statistics": `ANALYZE`, "old statistics": `ANALYZE`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			var version int
			if err := h.pool.QueryRow(t.Context(), `SELECT current_setting('server_version_num')::int`).Scan(&version); err != nil {
				t.Fatal(err)
			}
			if version < 150000 {
				t.Skip("a session of this PostgreSQL cannot be told to report what it has read")
			}
			few, other := h.user(100), h.user(100)
			start := h.now()
			h.transfer(few, other, 1)
			super := testkit.Connect(t, h.db.SuperuserURL)
			exec := func(sql string, args ...any) {
				t.Helper()
				if _, err := super.Exec(t.Context(), sql, args...); err != nil {
					t.Fatal(err)
				}
			}
			exec(`SET session_replication_role = replica`)
			for _, table := range []string{"transfers", "postings", "events", "accounts"} {
				exec(`ALTER TABLE ` + table + ` SET (autovacuum_enabled = off)`)
			}
			her, _ := h.busyCrowd(10_000)
			if statistics != "" {
				exec(statistics)
			}
			if name == "old statistics" {
				her, _ = h.busyCrowd(10_000)
			}
			h.transfer(few, other, 1)
			h.readLittle(few, her, start)
		})
	}
}

// busyCrowd is a crowd with its postings and events.
func (h *fixture) busyCrowd(count int) (her, rare uuid.UUID) {
	h.t.Helper()
	her, rare = h.crowdUnanalyzed(count)
	super := testkit.Connect(h.t, h.db.SuperuserURL)
	for _, sql := range []string{
		`SET session_replication_role = replica`,
		`CREATE TEMPORARY TABLE crowd AS SELECT * FROM transfers WHERE owner = '` + her.String() + `'`,
		`INSERT INTO postings SELECT account, row_number() OVER line, id, amount, 1000000 + sum(amount) OVER line, at FROM (
			SELECT id, debit_account AS account, -amount AS amount, resolved_at AS at FROM crowd
			UNION ALL SELECT id, credit_account, amount, resolved_at FROM crowd) p
			WINDOW line AS (PARTITION BY account ORDER BY id)`,
		`UPDATE accounts a SET seq = p.seq, balance = p.balance_after, as_of = p.posted_at FROM (
			SELECT DISTINCT ON (account_id) * FROM postings ORDER BY account_id, seq DESC) p
			WHERE a.id = p.account_id AND a.owner IS NOT NULL`,
		`INSERT INTO events (xid, transfer_id, state, debit_account, credit_account, at, digest)
			SELECT (row_number() OVER (ORDER BY id) % 500 + 1)::text::xid8, id, 'posted', debit_account, credit_account, resolved_at, sha256('')
			FROM crowd`,
	} {
		if _, err := super.Exec(h.t.Context(), sql); err != nil {
			h.t.Fatal(err)
		}
	}
	return her, rare
}

// readLittle makes each read by a connection of its own and counts what it read.
func (h *fixture) readLittle(few, her uuid.UUID, start time.Time) {
	t := h.t
	h.everythingSoFar() // the horizon never goes back, so that every event is below it from here on
	for name, read := range map[string]func(l *ledger.Ledger) (bool, error){
		"a list of few": func(l *ledger.Ledger) (bool, error) {
			p, err := l.List(t.Context(), few, ledger.Query{})
			return len(p.Transfers) == 3, err
		},
		"a list of many": func(l *ledger.Ledger) (bool, error) {
			p, err := l.List(t.Context(), her, ledger.Query{})
			return len(p.Transfers) == 20, err
		},
		"a search of few": func(l *ledger.Ledger) (bool, error) {
			p, err := l.List(t.Context(), few, ledger.Query{Memo: "nothing", With: her, Since: start.Add(-time.Hour)})
			return len(p.Transfers) == 0, err
		},
		"a balance of many": func(l *ledger.Ledger) (bool, error) {
			balance, _, err := l.BalanceAt(t.Context(), her, "USD", start.Add(-time.Hour))
			return balance != 0, err
		},
		"a balance of now": func(l *ledger.Ledger) (bool, error) {
			balance, _, err := l.BalanceAt(t.Context(), few, "USD", time.Time{})
			return balance == 98, err
		},
		"a summary of few": func(l *ledger.Ledger) (bool, error) {
			s, err := l.Summary(t.Context(), few)
			return err == nil && s.Wallets[0].Balance == 98, err
		},
		"events of few": func(l *ledger.Ledger) (bool, error) {
			end, err := l.Horizon(t.Context())
			if err != nil {
				return false, err
			}
			events, _, _, err := l.EventsOf(t.Context(), few, ledger.Position{}, end, 100)
			return len(events) == 4, err
		},
		"events of many": func(l *ledger.Ledger) (bool, error) {
			end, err := l.Horizon(t.Context())
			if err != nil {
				return false, err
			}
			events, _, _, err := l.EventsOf(t.Context(), her, ledger.Position{}, end, 20)
			return len(events) == 20, err
		},
	} {
		before := h.rowsRead()
		ok := h.alone(func(l *ledger.Ledger) (ok bool) {
			ok, err := read(l)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return ok
		})
		if !ok {
			t.Errorf("%s: not what was expected", name)
		}
		if rows := h.rowsRead() - before; rows > 300 {
			t.Errorf("%s: %d rows were read", name, rows)
		}
	}
}

// alone uses a ledger with one connection, which has reported what it read when it
// is gone.
func (h *fixture) alone(use func(*ledger.Ledger) bool) bool {
	h.t.Helper()
	config := h.pool.Config()
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(h.t.Context(), config)
	if err != nil {
		h.t.Fatal(err)
	}
	defer pool.Close()
	l := ledger.Open(ledger.Config{Pool: pool})
	ok := use(l)
	if err := l.Close(context.Background()); err != nil {
		h.t.Error(err)
	}
	if _, err := pool.Exec(h.t.Context(), `SELECT pg_stat_force_next_flush()`); err != nil {
		h.t.Fatal(err)
	}
	return ok
}

// rowsRead are the rows and index entries that sessions have read of the large tables.
func (h *fixture) rowsRead() (rows int64) {
	h.t.Helper()
	const read = `SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ('transfers', 'postings', 'events'))
		+ (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ('transfers', 'postings', 'events'))`
	conn := testkit.Connect(h.t, h.db.SuperuserURL)
	if err := conn.QueryRow(h.t.Context(), read).Scan(&rows); err != nil {
		h.t.Fatal(err)
	}
	return rows
}
