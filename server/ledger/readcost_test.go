package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

// TestReadsAreCheap: a read for a user with few transfers does not scan the many rows of other
// users, and a read for a user with a long history costs no more than the rows that it returns.
// That holds with statistics of the tables, without them, and with old ones, and wherever the
// postings are. The test counts rows, not time.
func TestReadsAreCheap(t *testing.T) {
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
				t.Skip("this PostgreSQL has no pg_stat_force_next_flush")
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
			inTable, _ := h.longHistoryWithPostings(10_000)
			inRows := h.longHistoryWithOwnPostings(10_000)
			if statistics != "" {
				exec(statistics)
			}
			if name == "old statistics" {
				inTable, _ = h.longHistoryWithPostings(10_000)
				inRows = h.longHistoryWithOwnPostings(10_000)
			}
			h.addCheckpoints(inTable)
			h.addCheckpoints(inRows)
			h.transfer(few, other, 1)
			h.countRows(super)
			h.checkRowsRead(few, inTable, start)
			h.checkRowsRead(few, inRows, start)
		})
	}
}

// longHistoryWithPostings inserts a long history together with its postings and events.
func (h *fixture) longHistoryWithPostings(count int) (user, rare ledger.UserID) {
	h.t.Helper()
	user, rare = h.longHistoryUnanalyzed(count)
	super := testkit.Connect(h.t, h.db.SuperuserURL)
	for _, sql := range []string{
		`SET session_replication_role = replica`,
		`CREATE TEMPORARY TABLE history AS SELECT * FROM transfers WHERE owner = '` + user.String() + `'`,
		`INSERT INTO postings SELECT account, row_number() OVER w, id, amount, 1000000 + sum(amount) OVER w, at FROM (
			SELECT id, debit_account AS account, -amount AS amount, resolved_at AS at FROM history
			UNION ALL SELECT id, credit_account, amount, resolved_at FROM history) p
			WINDOW w AS (PARTITION BY account ORDER BY id)`,
		`UPDATE accounts a SET seq = p.seq, balance = p.balance_after, as_of = p.posted_at FROM (
			SELECT DISTINCT ON (account_id) * FROM all_postings ORDER BY account_id, seq DESC) p
			WHERE a.id = p.account_id AND a.owner IS NOT NULL`,
		`INSERT INTO events (xid, transfer_id, state, debit_account, credit_account, at, digest)
			SELECT (row_number() OVER (ORDER BY id) % 500 + 1)::text::xid8, id, 'posted', debit_account, credit_account, resolved_at, sha256('')
			FROM history`,
	} {
		if _, err := super.Exec(h.t.Context(), sql); err != nil {
			h.t.Fatal(err)
		}
	}
	h.countRows(super)
	return user, rare
}

// longHistoryWithOwnPostings inserts a long history of transfers that have their own postings.
func (h *fixture) longHistoryWithOwnPostings(count int) (user ledger.UserID) {
	h.t.Helper()
	user, _ = h.longHistoryUnanalyzed(count)
	super := testkit.Connect(h.t, h.db.SuperuserURL)
	for _, sql := range []string{
		`SET session_replication_role = replica`,
		`CREATE TEMPORARY TABLE history AS SELECT * FROM transfers WHERE owner = '` + user.String() + `'`,
		`CREATE TEMPORARY TABLE own AS SELECT id, account, row_number() OVER w AS seq, 1000000 + sum(amount) OVER w AS balance FROM (
			SELECT id, debit_account AS account, -amount AS amount FROM history
			UNION ALL SELECT id, credit_account, amount FROM history) p
			WINDOW w AS (PARTITION BY account ORDER BY id)`,
		`UPDATE transfers t SET debit_seq = d.seq, debit_balance = d.balance, credit_seq = c.seq, credit_balance = c.balance,
				event_xid = (n.nth / 20 + 1)::text::xid8, event_id = 1000000000 * d.account + n.nth, digest = sha256(''),
				resolved_at = date_trunc('milliseconds', t.resolved_at)
			FROM own d, own c, (SELECT id, row_number() OVER (ORDER BY id) AS nth FROM history) n
			WHERE n.id = t.id AND d.id = t.id AND d.account = t.debit_account AND c.id = t.id AND c.account = t.credit_account`,
		`UPDATE accounts a SET seq = p.seq, balance = p.balance, as_of = clock_timestamp() FROM (
			SELECT DISTINCT ON (account) * FROM own ORDER BY account, seq DESC) p WHERE a.id = p.account`,
	} {
		if _, err := super.Exec(h.t.Context(), sql); err != nil {
			h.t.Fatal(err)
		}
	}
	h.countRows(super)
	return user
}

// addCheckpoints gives the wallet of a user the checkpoints that the triggers, which were off,
// would have written.
func (h *fixture) addCheckpoints(user ledger.UserID) {
	h.t.Helper()
	super := testkit.Connect(h.t, h.db.SuperuserURL)
	_, err := super.Exec(h.t.Context(), `SET session_replication_role = replica`)
	testkit.Must(h.t, err)
	_, err = super.Exec(h.t.Context(), `WITH credits AS (
			SELECT p.*, sum(GREATEST(p.amount, 0)) OVER (ORDER BY p.seq) AS credited
			FROM all_postings p JOIN accounts a ON a.id = p.account_id WHERE a.owner = $1),
		counted AS (UPDATE accounts a SET credited = c.credited FROM credits c WHERE c.account_id = a.id AND c.seq = a.seq)
		INSERT INTO account_checkpoints SELECT account_id, seq, credited, posted_at FROM credits WHERE seq % 128 = 0`, user)
	testkit.Must(h.t, err)
}

// checkRowsRead executes each read on a connection of its own and checks how many rows it has read.
func (h *fixture) checkRowsRead(few, many ledger.UserID, start time.Time) {
	t := h.t
	h.everythingSoFar() // the horizon never goes back, so that every event is below it from here on
	for name, read := range map[string]func(l *ledger.Ledger) (bool, error){
		"a list of few": func(l *ledger.Ledger) (bool, error) {
			p, err := l.List(t.Context(), few, ledger.Query{})
			return len(p.Transfers) == 3, err
		},
		"a list of many": func(l *ledger.Ledger) (bool, error) {
			p, err := l.List(t.Context(), many, ledger.Query{})
			return len(p.Transfers) == 20, err
		},
		"a search of few": func(l *ledger.Ledger) (bool, error) {
			p, err := l.List(t.Context(), few, ledger.Query{Memo: "nothing", With: many, Since: start.Add(-time.Hour)})
			return len(p.Transfers) == 0, err
		},
		"a balance of many": func(l *ledger.Ledger) (bool, error) {
			balance, _, err := l.BalanceAt(t.Context(), many, "USD", start.Add(-time.Hour))
			return balance != 0, err
		},
		"a statement of many": func(l *ledger.Ledger) (bool, error) {
			s, err := l.Statement(t.Context(), many, ledger.StatementQuery{Currency: "USD", Month: start.Add(-time.Hour), Limit: 20})
			return len(s.Lines) == 20 && s.Count > 1000, err
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
			events, _, _, err := l.EventsOf(t.Context(), many, ledger.Position{}, end, 20)
			return len(events) == 20, err
		},
	} {
		before := h.rowsRead()
		ok := h.onOwnConnection(func(l *ledger.Ledger) (ok bool) {
			ok, err := read(l)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return ok
		})
		if !ok {
			t.Errorf("%s: unexpected result", name)
		}
		if rows := h.rowsRead() - before; rows > 300 {
			t.Errorf("%s: %d rows were read", name, rows)
		}
	}
}

// onOwnConnection calls use with a ledger that has one connection, and then countRows.
func (h *fixture) onOwnConnection(use func(*ledger.Ledger) bool) bool {
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
	h.countRows(pool)
	return ok
}

// countRows makes PostgreSQL count now the rows that a connection has read. By itself it does so
// up to ten seconds later, which would be in the middle of another measurement.
func (h *fixture) countRows(conn interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
},
) {
	h.t.Helper()
	if _, err := conn.Exec(h.t.Context(), `SELECT pg_stat_force_next_flush()`); err != nil {
		h.t.Fatal(err)
	}
}

// rowsRead returns how many rows and index entries of the large tables sessions have read so far.
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
