package ledger

// scope is what an audit covers: all rows, or those that are new since a signed audit. The rules
// read these relations, which a scope defines as common table expressions:
//
//	audited_accounts    accounts whose postings are checked
//	account_postings    the postings of these accounts; in an incremental audit, each account
//	                    begins with an opening: one row with what it had at the horizon
//	keyed_transfers     transfers whose idempotency keys are compared
//	account_checkpoints those that follow an opening, if there are openings
//	stated_transfers    transfers, and what the event of their state says
//	transfer_events     the events of each transfer
//	suspense_transfers  all bookings to suspense
//	signed              per currency, what the signed audit has found at its horizon
//
// An incremental audit also defines transfers, postings, events, payments and all_events, so that
// these names stand for the rows to check instead of the whole tables. What a rule needs of a whole
// table, it reads as public.payments and the like.
type scope struct {
	relations string // of a WITH clause
	args      []any
	// lookUps is set if rows are found by indexes. Otherwise whole tables are read.
	lookUps bool
}

// statement returns a query on the scope's relations.
func (s scope) statement(query string) string { return "WITH " + s.relations + query }

// arguments of a statement that begins with the scope's relations. It is planned each time: the
// number of new rows differs each time.
func (s scope) arguments() []any {
	return append([]any{planEachTime}, s.args...)
}

var fullScope = scope{relations: `
	audited_accounts AS (SELECT * FROM accounts),
	account_postings AS (
		SELECT p.*, t.resolved_at AS posted_at, t.event_xid, t.event_id, false AS opening
		FROM transfers t CROSS JOIN LATERAL ` + postingsOfRow + `
		WHERE t.debit_seq IS NOT NULL
		UNION ALL SELECT account_id, seq, amount, balance_after, posted_at, NULL, NULL, false FROM postings),
	keyed_transfers AS NOT MATERIALIZED (SELECT owner, idem_key FROM transfers),
	-- IS TRUE keeps the state out of the join, so that rows are sorted by id only.
	stated_transfers AS (
		SELECT t.*, e.digest AS stated, e.debit_account AS stated_debit, e.credit_account AS stated_credit, e.at AS stated_at
		FROM transfers t JOIN events e ON e.transfer_id = t.id AND (e.state = t.state) IS TRUE
		UNION ALL
		SELECT t.*, t.digest, t.debit_account, t.credit_account, t.resolved_at FROM transfers t WHERE t.debit_seq IS NOT NULL),
	transfer_events AS (SELECT transfer_id, id, state FROM events),
	suspense_transfers AS (SELECT * FROM transfers WHERE kind = 'suspense'),
	signed AS (SELECT ''::text AS currency, 0::bigint AS accounts, 0::numeric AS balances, 0::numeric AS digest WHERE false)
`}

// postingsOfRow are the two postings in a row of transfers t.
const postingsOfRow = `(VALUES
			(t.debit_account, t.debit_seq, -t.posted_amount, t.debit_balance),
			(t.credit_account, t.credit_seq, t.posted_amount, t.credit_balance)) p (account_id, seq, amount, balance_after)`

// isRecent is the condition for a transfer t that was inserted after the signed audit, or has an
// own event above its horizon, or is pending.
const isRecent = `t.id >= $2::uuid OR t.event_xid >= $1::xid8 OR t.state = 'pending'`

// auditColumns are the columns of transfers that rules read.
const auditColumns = `t.id, t.kind, t.state, t.debit_account, t.credit_account, t.amount, t.posted_amount, t.reversed_amount,
			t.currency, t.reason, t.target, t.expires_at, t.created_at, t.resolved_at, t.debit_seq, t.debit_balance, t.credit_seq,
			t.credit_balance, t.event_xid, t.event_id, t.digest`

// newRows selects what is new since a signed audit with the horizon $1, whose snapshot had no
// posting after $3. Every event that the snapshot did not contain has a number of $1 or above: its
// transaction had not ended then. The rows that the snapshot already had above the horizon are
// checked again, which is correct and costs little.
//
// The postings of an account that are new begin with the first one that has an event above the
// horizon, and include all after it: within an account, the order of the numbers of events is not
// quite that of the postings (events.go). What an account had at the horizon follows from its
// first new posting, and is compared with what was signed.
//
// Rows without an event of their own, captures and voids, are found by their ids, from $2 on, and
// by their targets. The look-ups by key are LATERAL with OFFSET 0: PostgreSQL has no statistics
// about these relations and would read whole tables, or compare each row with each other.
const newRows = `
	signed AS (SELECT * FROM unnest($4::text[], $5::bigint[], $6::text[]::numeric[], $7::text[]::numeric[])
		AS s (currency, accounts, balances, digest)),
	recent AS MATERIALIZED (SELECT ` + auditColumns + ` FROM public.transfers t WHERE ` + isRecent + `),
	events AS MATERIALIZED (SELECT * FROM public.events WHERE xid >= $1::xid8),
	new_postings AS (
		SELECT p.*, t.resolved_at AS posted_at
		FROM recent t CROSS JOIN LATERAL ` + postingsOfRow + `
		WHERE t.event_xid >= $1
		UNION ALL
		SELECT p.account_id, p.seq, p.amount, p.balance_after, p.posted_at
		FROM (SELECT DISTINCT transfer_id FROM events) e
		CROSS JOIN LATERAL (SELECT * FROM public.postings p WHERE p.transfer_id = e.transfer_id OFFSET 0) p),
	openings AS MATERIALIZED (
		SELECT DISTINCT ON (account_id) account_id, seq - 1 AS seq, balance_after - amount AS balance, posted_at AS next_at
		FROM new_postings ORDER BY account_id, seq),
	table_postings AS MATERIALIZED (
		SELECT p.* FROM openings o
		CROSS JOIN LATERAL (SELECT * FROM public.postings p WHERE p.account_id = o.account_id AND p.seq > o.seq OFFSET 0) p),
	open_payments AS MATERIALIZED (SELECT * FROM public.payments WHERE next_at IS NOT NULL OR state = 'needs_review'),

	-- Older transfers that something new is about, and the captures, voids and reversals of all.
	named AS MATERIALIZED (
		SELECT ` + auditColumns + ` FROM (
			SELECT transfer_id AS id FROM events
			UNION SELECT transfer_id FROM table_postings
			UNION SELECT transfer_id FROM open_payments
			UNION SELECT target FROM recent WHERE target IS NOT NULL AND state <> 'refused') n
		CROSS JOIN LATERAL (SELECT * FROM public.transfers t WHERE t.id = n.id OFFSET 0) t
		WHERE (` + isRecent + `) IS NOT TRUE),
	follow_ups AS MATERIALIZED (
		SELECT ` + auditColumns + ` FROM (
			SELECT id FROM recent WHERE kind = 'authorization' OR reversed_amount <> 0 UNION ALL SELECT id FROM named) n
		CROSS JOIN LATERAL (SELECT * FROM public.transfers t WHERE t.target = n.id AND t.state <> 'refused' OFFSET 0) t
		WHERE (` + isRecent + `) IS NOT TRUE AND NOT EXISTS (SELECT FROM named o WHERE o.id = t.id)),
	transfers AS NOT MATERIALIZED (
		SELECT * FROM recent UNION ALL SELECT * FROM named UNION ALL SELECT * FROM follow_ups),
	postings AS MATERIALIZED (
		SELECT * FROM table_postings
		UNION SELECT p.* FROM transfers t
		CROSS JOIN LATERAL (SELECT * FROM public.postings p WHERE p.transfer_id = t.id OFFSET 0) p
		WHERE t.debit_seq IS NULL),
	payments AS MATERIALIZED (
		SELECT * FROM open_payments
		UNION ALL SELECT p.* FROM transfers t
		CROSS JOIN LATERAL (SELECT * FROM public.payments p WHERE p.transfer_id = t.id OFFSET 0) p
		WHERE t.kind IN ('deposit', 'withdrawal') AND p.next_at IS NULL AND p.state <> 'needs_review'),
	all_events AS (
		SELECT event_id AS id, event_xid AS xid FROM recent WHERE debit_seq IS NOT NULL
		UNION ALL SELECT id, xid FROM events),

	-- An account without postings has no balance, whether or not it is new.
	audited_accounts AS (
		SELECT * FROM public.accounts WHERE seq = 0 OR id IN (SELECT account_id FROM openings)),
	-- The posting before the first new one is looked up only if that one is dated before the end of
	-- the signed audit.
	account_postings AS (
		SELECT o.account_id, o.seq, o.balance AS amount, o.balance AS balance_after, CASE WHEN o.next_at > $3::timestamptz THEN $3 ELSE COALESCE(
				(SELECT p.posted_at FROM public.postings p WHERE p.account_id = o.account_id AND p.seq = o.seq),
				(SELECT CASE WHEN t.debit_seq = o.seq THEN t.resolved_at END FROM (
					SELECT * FROM public.transfers t WHERE t.debit_account = o.account_id AND t.debit_seq <= o.seq AND t.id < i.after
					ORDER BY t.debit_account DESC, t.id DESC LIMIT 1) t),
				(SELECT CASE WHEN t.credit_seq = o.seq THEN t.resolved_at END FROM (
					SELECT * FROM public.transfers t WHERE t.credit_account = o.account_id AND t.credit_seq <= o.seq AND t.id < i.after
					ORDER BY t.credit_account DESC, t.id DESC LIMIT 1) t),
				'infinity') END AS posted_at, NULL::xid8 AS event_xid, NULL::bigint AS event_id, true AS opening
		FROM openings o
		CROSS JOIN LATERAL (SELECT (encode(int8send((floor(extract(epoch FROM n.at) * 1000)::bigint << 16)
			| (7 << 12) | (extract(microseconds FROM n.at)::bigint % 1000)), 'hex') || '0000000000000000')::uuid AS after
			FROM (SELECT o.next_at + interval '1 microsecond' AS at) n) i
		WHERE o.seq > 0
		UNION ALL
		SELECT p.*, t.resolved_at, t.event_xid, t.event_id, false
		FROM recent t CROSS JOIN LATERAL ` + postingsOfRow + `
		JOIN openings o ON o.account_id = p.account_id AND p.seq > o.seq
		WHERE t.debit_seq IS NOT NULL
		UNION ALL
		SELECT account_id, seq, amount, balance_after, posted_at, NULL, NULL, false FROM table_postings),

	account_checkpoints AS (
		SELECT c.* FROM openings o
		CROSS JOIN LATERAL (SELECT * FROM public.account_checkpoints c WHERE c.account_id = o.account_id AND c.seq > o.seq OFFSET 0) c),

	-- While a unique index on the keys is valid, no older transfer has the key of a new one.
	-- Without it, all are compared.
	keys_unique AS (SELECT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = 'public.transfers'::regclass
			AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indnkeyatts = 2
			AND pg_get_indexdef(x.indexrelid, 1, true) = 'owner' AND pg_get_indexdef(x.indexrelid, 2, true) = 'idem_key') AS hold),
	keyed_transfers AS MATERIALIZED (
		SELECT owner, idem_key FROM public.transfers t WHERE ` + isRecent + `
		UNION ALL
		SELECT o.owner, o.idem_key FROM public.transfers t
		JOIN public.transfers o ON o.owner = t.owner AND o.idem_key = t.idem_key AND o.id <> t.id
		WHERE NOT (SELECT hold FROM keys_unique) AND (` + isRecent + `)),
	stated_transfers AS (
		SELECT t.*, e.digest AS stated, e.debit_account AS stated_debit, e.credit_account AS stated_credit, e.at AS stated_at
		FROM events e CROSS JOIN LATERAL (SELECT * FROM public.transfers t WHERE t.id = e.transfer_id OFFSET 0) t
		WHERE e.state = t.state
		UNION ALL
		SELECT t.*, t.digest, t.debit_account, t.credit_account, t.resolved_at
		FROM public.transfers t WHERE t.debit_seq IS NOT NULL AND (` + isRecent + `)),

	-- A transfer that is older than the signed audit had its events then.
	transfer_events AS (
		SELECT transfer_id, id, state FROM events
		UNION ALL
		SELECT t.id, -1, 'pending' FROM transfers t
		WHERE t.kind IN ('authorization', 'deposit', 'withdrawal') AND t.state <> 'refused' AND t.created_at <= $3
			AND NOT EXISTS (SELECT FROM events e WHERE e.transfer_id = t.id AND e.state = 'pending')
		UNION ALL
		SELECT t.id, 0, t.state FROM transfers t
		WHERE t.kind NOT IN ('capture', 'void') AND t.debit_seq IS NULL AND t.state <> 'pending' AND t.resolved_at <= $3
			AND NOT EXISTS (SELECT FROM events e WHERE e.transfer_id = t.id AND e.state <> 'pending')),
	suspense_transfers AS (
		SELECT id, currency, debit_account, credit_account, posted_amount FROM recent WHERE kind = 'suspense'
		UNION
		SELECT t.id, t.currency, t.debit_account, t.credit_account, t.posted_amount
		FROM public.accounts a
		CROSS JOIN LATERAL (
			(SELECT * FROM public.transfers d WHERE d.debit_account = a.id OFFSET 0)
			UNION ALL
			(SELECT * FROM public.transfers c WHERE c.credit_account = a.id OFFSET 0)) t
		WHERE a.kind = 'suspense' AND a.owner IS NULL AND t.kind = 'suspense')
`

// balancesAtHorizon is a FROM item with what the accounts of each currency had at the horizon. The
// digest is a sum over the accounts, so that the order in which they are read does not matter. It
// finds accidents and edits; it is not made to resist the search for another set of balances with
// the same sum, against which there are full audits.
const balancesAtHorizon = `(
		SELECT a.currency, count(*) AS accounts, sum(s.balance) AS balances,
			sum(hashint8extended(a.id, hashint8extended(s.seq, hashint8extended(s.balance,
				hash_numeric_extended(s.credited, hashtextextended(a.kind, 0)))))) AS digest
		FROM public.accounts a LEFT JOIN openings o ON o.account_id = a.id
		LEFT JOIN (SELECT account_id, sum(amount) AS came FROM account_postings WHERE NOT opening AND amount > 0 GROUP BY account_id) p
			ON p.account_id = a.id
		CROSS JOIN LATERAL (SELECT COALESCE(o.seq, a.seq) AS seq, COALESCE(o.balance, a.balance) AS balance,
			a.credited - COALESCE(p.came, 0) AS credited) s
		WHERE s.seq > 0
		GROUP BY a.currency)`

// signedScans are the scans of an incremental audit that a full one does not need.
var signedScans = []scan{
	{
		group: "accounts",
		rows: `(SELECT COALESCE(s.currency, n.currency) AS currency, COALESCE(n.accounts, 0) AS accounts,
				COALESCE((s.accounts, s.balances, s.digest) = (n.accounts, n.balances, n.digest), false) AS same
			FROM signed s FULL JOIN ` + balancesAtHorizon + ` n ON n.currency = s.currency) x`,
		rules: []rule{
			{
				name: "signed_balances", sentence: "the accounts had at the horizon what the signed audit has found",
				holds: "x.same", row: "'currency ' || x.currency || ': see kizod audit'", count: "sum(x.accounts)",
			},
		},
	},
}
