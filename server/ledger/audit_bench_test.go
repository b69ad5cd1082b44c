package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
)

// BenchmarkIncrementalAudit audits books that SQL has loaded, then 200,000 new transfers, which
// touch all accounts. The number is that of the transfers before. Loading 5,000,000 takes minutes.
func BenchmarkIncrementalAudit(b *testing.B) {
	for _, before := range []int{50_000, 500_000, 5_000_000} {
		b.Run(fmt.Sprint(before), func(b *testing.B) {
			wallets := min(before/5, 100_000)
			h := newFixture(b)
			loader := h.newLoader(wallets)
			const chunk, step = 250_000, 400 * time.Millisecond
			start := time.Now().Add(-30 * 24 * time.Hour)
			for i := 0; i < before; i += chunk {
				loader.transfers(i, min(i+chunk, before), start.Add(time.Duration(i)*step), step)
			}
			loader.exec(`VACUUM ANALYZE`)
			began := time.Now()
			h.fullAudit()
			b.ReportMetric(time.Since(began).Seconds(), "s/full")

			loader.transfers(before, before+200_000, time.Now(), time.Microsecond)
			for b.Loop() {
				began := time.Now()
				report := h.incrementalAudit()
				b.ReportMetric(time.Since(began).Seconds(), "s/incremental")
				if !report.OK() {
					b.Fatal(table(report))
				}
				for _, c := range report.Checks {
					b.ReportMetric(float64(c.Duration.Milliseconds()), "ms/"+c.Name)
				}
				loader.exec(`DELETE FROM signed_audits WHERE mode = 'incremental'`) // the next one begins where this one did
			}
		})
	}
}

// loader inserts the rows that the ledger would write, without its triggers. Transfer i moves 1
// from wallet i to wallet i + 1, and so on round and round.
type loader struct {
	*fixture
	super   *pgx.Conn
	wallets int
}

const funds = 1_000_000

func (h *fixture) newLoader(wallets int) *loader {
	l := &loader{h, testkit.Connect(h.t, h.db.SuperuserURL), wallets}
	l.exec(`SET session_replication_role = replica`)
	l.exec(`INSERT INTO accounts (public_id, owner, currency, kind, floor, balance, seq, credited)
		SELECT gen_random_uuid(), md5('wallet ' || n)::uuid, 'USD', 'wallet', 0, $1::bigint, 1, $1 FROM generate_series(1, $2::int) n`, funds, wallets)
	l.exec(`INSERT INTO accounts (public_id, currency, kind, balance, seq) VALUES (gen_random_uuid(), 'USD', 'fee', -$1::bigint * $2::bigint, $2)`, funds, wallets)
	l.exec(`CREATE TEMPORARY TABLE wallets AS SELECT (row_number() OVER (ORDER BY id) - 1) * 7919 % $1::bigint AS n, id, owner
		FROM accounts WHERE kind = 'wallet'`, wallets)
	// The wallets get their money from the account for fees, a year ago.
	l.insert(`SELECT n - $2::bigint AS i, clock_timestamp() - interval '1 year' + n * interval '1 ms' AS at, f.id AS debit, n + 1 AS debit_seq,
			-(n + 1) * $1::bigint AS debit_balance, w.id AS credit, 1 AS credit_seq, $1::bigint AS credit_balance, w.owner, $1::bigint AS amount
		FROM wallets w, accounts f WHERE f.kind = 'fee' ORDER BY n`, funds, wallets)
	return l
}

// transfers inserts transfers from until before a number, at these times.
func (l *loader) transfers(from, until int, start time.Time, step time.Duration) {
	l.insert(`SELECT i, $3::timestamptz + i * $4::bigint * interval '1 microsecond' AS at,
			d.id AS debit, CASE d.nth WHEN 0 THEN 2 * round + 2 ELSE 2 * round + 3 END AS debit_seq, CASE d.nth WHEN 0 THEN $5::bigint - 1 ELSE $5 END AS debit_balance,
			c.id AS credit, CASE c.nth WHEN 0 THEN 2 * round + 3 ELSE 2 * round + 2 END AS credit_seq, CASE c.nth WHEN 0 THEN $5 ELSE $5 + 1 END AS credit_balance,
			d.owner, 1::bigint AS amount
		FROM (SELECT i, i / $6::bigint AS round, i % $6 AS payer, (i + 1) % $6 AS payee FROM generate_series($1::bigint, $2::bigint - 1) i) r
		JOIN (SELECT *, n AS nth FROM wallets) d ON d.n = r.payer JOIN (SELECT *, n AS nth FROM wallets) c ON c.n = r.payee`,
		from, until, start.Add(-time.Duration(from)*step), step.Microseconds(), funds, l.wallets)
	l.exec(`UPDATE accounts a SET seq = p.seq, balance = p.balance, as_of = GREATEST(as_of, p.at), credited = $1::bigint + p.seq / 2
		FROM (SELECT account, max(seq) AS seq, max(at) AS at, (array_agg(balance ORDER BY seq DESC))[1] AS balance FROM (
			SELECT debit_account AS account, debit_seq AS seq, debit_balance AS balance, resolved_at AS at FROM transfers WHERE event_id > $2 AND event_id <= $3
			UNION ALL SELECT credit_account, credit_seq, credit_balance, resolved_at FROM transfers WHERE event_id > $2 AND event_id <= $3) p
			GROUP BY account) p WHERE a.id = p.account`, funds, from+l.wallets, until+l.wallets)
}

// insert inserts the selected transfers, with the digests of canonical.go.
func (l *loader) insert(rows string, args ...any) {
	l.exec(`INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount, posted_amount, currency, owner, idem_key, fingerprint,
			memo, reason, created_at, resolved_at, debit_seq, debit_balance, credit_seq, credit_balance, event_xid, event_id, digest)
		SELECT id, 'transfer', 'posted', debit, credit, amount, amount, 'USD', owner, key, sha256(''), memo, '', at, at,
			debit_seq, debit_balance, credit_seq, credit_balance, event_number(pg_current_xact_id()), i + `+fmt.Sprint(l.wallets)+` + 1,
			sha256(int8send(16) || 'kizo.transfer.v1' || uuid_send(id) || int8send(8) || 'transfer' || int8send(6) || 'posted'
				|| int8send(debit) || int8send(credit) || int8send(amount) || int8send(3) || 'USD' || int8send(amount) || uuid_send(owner)
				|| int8send(length(key)) || key::bytea || int8send(length(memo)) || memo::bytea || int8send(0) || int8send(0) || int8send(0)
				|| int8send(0) || int8send(micros) || int8send(micros))
		FROM (SELECT r.*, 'key of transfer ' || i AS key, 'memo of transfer ' || i AS memo, m.micros,
				encode(int8send(((micros / 1000) << 16) | (7 << 12) | micros % 1000) || decode('80', 'hex') || substr(int8send(i), 2), 'hex')::uuid AS id
			FROM (`+rows+`) r CROSS JOIN LATERAL (SELECT (extract(epoch FROM r.at) * 1000000)::bigint AS micros) m) r`, args...)
	l.exec(`SELECT setval('events_id_seq', (SELECT max(event_id) FROM transfers WHERE event_xid IS NOT NULL) + 4096)`)
}

func (l *loader) exec(sql string, args ...any) {
	l.t.Helper()
	if _, err := l.super.Exec(l.t.Context(), sql, args...); err != nil {
		l.t.Fatalf("%v\n%s", err, sql)
	}
}
