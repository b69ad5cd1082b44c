package ledger_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/ledger"
)

// invariants are those of the tables, each as a query for rows that break it. No sequence of
// commands may lead to such a row.
var invariants = []struct{ name, search string }{
	{"the postings of a transfer sum to zero, by currency", `
		SELECT p.transfer_id FROM all_postings p JOIN accounts a ON a.id = p.account_id
		GROUP BY p.transfer_id, a.currency HAVING sum(p.amount) <> 0`},
	{"the available balance is never below the floor", `
		SELECT id FROM accounts WHERE held < 0 OR balance - held < floor`},
	{"a balance is the sum of the account's postings, and seq is their number", `
		SELECT a.id FROM accounts a LEFT JOIN all_postings p ON p.account_id = a.id
		GROUP BY a.id HAVING a.balance <> COALESCE(sum(p.amount), 0) OR a.seq <> count(p.seq)
			OR a.seq <> COALESCE(max(p.seq), 0) OR a.as_of < max(p.posted_at)`},
	{"credited and the checkpoints of an account count what came in", `
		SELECT c.account_id, c.seq, c.credited FROM (SELECT id AS account_id, seq, credited, NULL AS posted_at FROM accounts
			UNION ALL SELECT account_id, seq, credited, posted_at FROM account_checkpoints) c
		LEFT JOIN LATERAL (SELECT sum(amount) FILTER (WHERE amount > 0) AS came, max(posted_at) AS at FROM all_postings p
			WHERE p.account_id = c.account_id AND p.seq <= c.seq) p ON true
		WHERE c.credited <> COALESCE(p.came, 0) OR c.posted_at <> p.at`},
	{"an account has a checkpoint near each multiple of 128", `
		SELECT a.id FROM accounts a LEFT JOIN account_checkpoints c ON c.account_id = a.id
		GROUP BY a.id HAVING a.seq / 128 < count(c.seq) OR a.seq / 128 > COALESCE(max(c.seq) / 128, 0)`},
	{"held is the sum of the open holds", `
		SELECT a.id FROM accounts a
		LEFT JOIN transfers t ON t.debit_account = a.id AND t.state = 'pending' AND t.kind <> 'deposit'
		GROUP BY a.id HAVING a.held <> COALESCE(sum(t.amount), 0)`},
	{"each posting continues the previous one, and has no earlier time", `
		SELECT account_id, seq FROM (
			SELECT *, lag(seq, 1, 0::bigint) OVER w AS seq_before, lag(balance_after, 1, 0::bigint) OVER w AS before,
				lag(posted_at) OVER w AS at_before FROM all_postings WINDOW w AS (PARTITION BY account_id ORDER BY seq)) p
		WHERE seq <> seq_before + 1 OR balance_after <> before + amount OR posted_at < at_before`},
	{"a posted transfer has two postings of its amount, and no other transfer has any", `
		SELECT t.id FROM transfers t LEFT JOIN all_postings p ON p.transfer_id = t.id
		GROUP BY t.id HAVING
			count(p.seq) <> CASE WHEN t.state = 'posted' AND t.kind NOT IN ('capture', 'void') THEN 2 ELSE 0 END
			OR COALESCE(sum(p.amount) FILTER (WHERE p.account_id = t.debit_account), -t.posted_amount) <> -t.posted_amount
			OR COALESCE(sum(p.amount) FILTER (WHERE p.account_id = t.credit_account), t.posted_amount) <> t.posted_amount
			OR min(p.posted_at) <> max(p.posted_at) OR min(p.posted_at) <> t.resolved_at`},
	{"a transfer has its postings and event in its row, or in the tables", `
		SELECT id FROM transfers t WHERE debit_seq IS NOT NULL AND (
			EXISTS (SELECT FROM postings p WHERE p.transfer_id = t.id) OR EXISTS (SELECT FROM events e WHERE e.transfer_id = t.id))`},
	{"along the ids, the own postings of an account have the order of their numbers, and their events too", `
		SELECT account, seq FROM (
			SELECT account, seq, lag(seq) OVER w AS seq_before, event_xid, event_id,
				lag(event_xid) OVER w AS xid_before, lag(event_id) OVER w AS event_before
			FROM (SELECT debit_account AS account, debit_seq AS seq, id, event_xid, event_id FROM transfers WHERE debit_seq IS NOT NULL
				UNION ALL SELECT credit_account, credit_seq, id, event_xid, event_id FROM transfers WHERE debit_seq IS NOT NULL) p
			WINDOW w AS (PARTITION BY account ORDER BY id)) p
		WHERE seq <= seq_before OR (event_xid, event_id) <= (xid_before, event_before)`},
	{"postings belong to a transfer", `
		SELECT transfer_id FROM all_postings p WHERE NOT EXISTS (SELECT FROM transfers t WHERE t.id = p.transfer_id)`},
	{"one effect per key", `
		SELECT owner, idem_key FROM transfers GROUP BY owner, idem_key HAVING count(*) > 1`},
	{"a hold ends in exactly one of capture, void and expiry", `
		SELECT t.id FROM transfers t LEFT JOIN transfers f ON f.target = t.id AND f.kind IN ('capture', 'void') AND f.state <> 'refused'
		WHERE t.kind = 'authorization'
		GROUP BY t.id HAVING count(f.id) <> CASE
			WHEN t.state = 'posted' OR t.state = 'voided' AND t.reason = 'voided_by_payee' THEN 1 ELSE 0 END
			OR bool_or(f.state <> t.state OR f.posted_amount <> t.posted_amount)`},
	{"the reversals of a transfer sum to its reversed amount, and to no more than it posted", `
		SELECT t.id FROM transfers t LEFT JOIN transfers r ON r.target = t.id AND r.kind = 'reversal' AND r.state = 'posted'
		GROUP BY t.id HAVING t.reversed_amount <> COALESCE(sum(r.posted_amount), 0) OR t.reversed_amount > t.posted_amount`},
	{"the events of a transfer are its states, in order, up to the current one", `
		SELECT t.id, t.kind, t.state, string_agg(e.state, ' ' ORDER BY e.id) FROM transfers t LEFT JOIN all_events e ON e.transfer_id = t.id
		GROUP BY t.id HAVING COALESCE(string_agg(e.state, ' ' ORDER BY e.id), '') <> CASE
			WHEN t.kind IN ('capture', 'void') THEN ''
			WHEN t.state IN ('pending', 'refused') OR t.kind IN ('transfer', 'reversal', 'suspense') THEN t.state
			ELSE 'pending ' || t.state END
			OR bool_or(e.debit_account <> t.debit_account OR e.credit_account IS DISTINCT FROM t.credit_account) FILTER (WHERE e.id IS NOT NULL)`},
	{"a payment agrees with its transfer", `
		SELECT t.id FROM transfers t FULL JOIN payments p ON p.transfer_id = t.id
		WHERE (t.kind IN ('deposit', 'withdrawal') AND t.state <> 'refused') IS DISTINCT FROM (p.transfer_id IS NOT NULL)
			OR p.transfer_id IS NOT NULL AND (p.direction, p.amount, p.currency, p.external_ref)
				IS DISTINCT FROM (t.kind, t.amount, t.currency, t.id::text)
			OR (t.state = 'posted') <> (p.state = 'executed') OR (t.state = 'voided') <> (p.state = 'rejected')`},
	{"a transfer is between accounts that exist, in its currency", `
		SELECT t.id FROM transfers t
		LEFT JOIN accounts d ON d.id = t.debit_account LEFT JOIN accounts c ON c.id = t.credit_account
		WHERE d.currency IS DISTINCT FROM t.currency
			OR t.credit_account IS NOT NULL AND c.currency IS DISTINCT FROM t.currency`},
	{"all money of a currency sums to zero", `
		SELECT currency FROM accounts GROUP BY currency HAVING sum(balance) <> 0`},
}

// checkBooks searches for a broken invariant.
func checkBooks(ctx context.Context, conn *pgx.Conn) error {
	var (
		queue  pgx.Batch
		failed []error
	)
	queue.Queue(`SET enable_nestloop = off`) // without statistics, the planner assumes small tables
	for _, invariant := range invariants {
		queue.Queue(invariant.search).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				values, err := rows.Values()
				failed = append(failed, errors.Join(fmt.Errorf("broken: %s: %v", invariant.name, values), err))
			}
			return rows.Err()
		})
	}
	queue.Queue(ledger.LastEvents).Query(func(rows pgx.Rows) error {
		failed = append(failed, ledger.CheckDigests(rows))
		return rows.Err()
	})
	if err := conn.SendBatch(ctx, &queue).Close(); err != nil {
		return fmt.Errorf("look for broken invariants: %w", err)
	}
	return errors.Join(failed...)
}

// books checks all invariants now.
func (h *fixture) books() {
	h.t.Helper()
	conn, err := pgx.Connect(context.Background(), h.db.AppURL)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := checkBooks(context.Background(), conn); err != nil {
		h.t.Error(err)
	}
}
