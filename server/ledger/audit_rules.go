package ledger

// The invariants of the books, as SQL. They are written independently from the meaning of the
// tables and share nothing with the code that maintains them.
//
// Their order is the order in which to investigate them: damage that breaks an earlier rule may
// break a later one as a consequence. A rule does not repeat what an earlier one checks.
var auditScans = []scan{
	{
		group: "transfers", rows: transfersWithPostings, long: true, by: sorting,
		rules: []rule{
			{
				name: "double_entry", sentence: "the postings of a transfer are two and sum to zero",
				among: "x.postings > 0", holds: "x.postings = 2 AND x.total = 0", row: "'transfer ' || x.id",
			},
			{
				name: "postings_match", sentence: "they take posted_amount from the account that the transfer debits and give it to the one it credits",
				among: "x.state = 'posted' AND x.postings = 2 AND x.total = 0",
				holds: "x.taken_from = x.debit_account AND x.given_to = x.credit_account AND x.given = x.posted_amount",
				row:   "'transfer ' || x.id",
			},
			{
				name: "posted_only", sentence: "a posted transfer has postings and no other has any",
				holds: "(x.postings > 0) = (x.state = 'posted')", row: "'transfer ' || x.id",
			},
		},
	},
	{
		group: "transfers", rows: transfersWithAccounts,
		rules: []rule{
			{
				name: "one_currency", sentence: "a transfer and its accounts have one currency",
				among: "x.kind NOT IN ('capture', 'void')",
				holds: "x.debit_currency = x.currency AND (x.credit_currency = x.currency OR (x.credit_account IS NULL AND x.state = 'refused'))",
				row:   "'transfer ' || x.id",
			},
			{
				name: "own_postings", sentence: "the row of a transfer has all columns of its postings and event, and was posted when it was inserted, or has none of them",
				holds: `CASE x.own_columns WHEN 0 THEN true WHEN 7 THEN x.kind IN ('transfer', 'reversal', 'suspense')
					AND x.state = 'posted' AND x.posted_amount = x.amount ELSE false END`,
				row: "'transfer ' || x.id",
			},
			{
				name: "id_time", sentence: "the id of a transfer with postings in its row begins with their time",
				among: "x.own_columns > 0", holds: "x.id_begins = x.time_begins", row: "'transfer ' || x.id",
			},
		},
	},
	{
		group: "accounts", rows: accountsWithPostings, long: true,
		rules: []rule{
			{
				name: "sequence", sentence: "the postings of an account are numbered 1 to its seq without a gap",
				holds: "x.seq = x.before + x.postings AND x.last = x.seq AND (x.postings = 0 OR x.first = x.before + 1)",
				row:   "'account ' || x.id || ': seq ' || COALESCE(x.seq::text, 'none') || ', ' || x.before + x.postings || ' postings up to ' || x.last",
			},
			{
				name: "running_balance", sentence: "a posting's balance_after is the one before it plus its amount",
				holds: "x.unchained IS NULL", row: "'account ' || x.id || ' seq ' || x.unchained", count: "sum(x.postings)",
			},
			{
				name: "dates", sentence: "the postings of an account are dated in their order, none after its as_of; one in the row of a transfer is later than the one before",
				holds: "x.misdated IS NULL AND (x.postings = 0 OR x.id_known IS NULL OR x.latest <= x.as_of)",
				row:   "'account ' || x.id || COALESCE(' seq ' || x.misdated, ': as_of')", count: "sum(x.postings)",
			},
			{
				// The order of the transfers' ids follows from id_time and dates.
				name: "own_order", sentence: "the events in the rows of transfers have the order of the postings of an account there",
				holds: "x.misordered IS NULL", row: "'account ' || x.id || ' seq ' || x.misordered", count: "sum(x.postings)",
			},
			{
				name: "balance", sentence: "an account's balance is the sum of its postings",
				among: "x.id_known IS NOT NULL", holds: "x.balance = x.total",
				row: "'account ' || x.id || ': balance ' || x.balance || ', postings ' || x.total",
			},
			{
				// Only differences have a meaning: postings from before schema 7 are not counted.
				// After an opening, only new postings came in; signed_balances compares what was
				// credited before.
				name: "credited", sentence: "from each checkpoint of an account to the next, and to the account, credited grows by what came in",
				among: "x.id_known IS NOT NULL OR x.noted_checkpoints > 0",
				holds: `CASE x.before WHEN 0 THEN x.uncounted >= 0 ELSE x.uncounted <= 0 END AND x.checkpoints = x.noted_checkpoints
					AND (x.checkpoints = 0 OR x.least_uncounted = x.uncounted AND x.most_uncounted = x.uncounted)`,
				row: `'account ' || x.id || ': credited ' || COALESCE(x.credited::text, 'none') || ', came in ' || x.came
					|| ', postings at ' || x.checkpoints || ' of ' || x.noted_checkpoints || ' checkpoints'`,
				count: "count(*) + sum(x.noted_checkpoints)",
			},
		},
	},
	{
		rows: accountsWithHolds,
		rules: []rule{
			{
				name: "held", sentence: "what an account holds back is the sum of its open authorizations and withdrawals",
				holds: "x.held = x.reserved",
				row:   "'account ' || x.id || ': held ' || x.held || ', open holds ' || x.reserved",
			},
			{
				name: "holds", sentence: "account_holds, which the triggers compare held with, has the same sum",
				holds: "x.reserved = x.noted_held",
				row:   "'account ' || x.id || ': account_holds ' || x.noted_held || ', open holds ' || x.reserved",
			},
			{
				name: "freeze", sentence: "a wallet is frozen when its owner is, and only then",
				among: "x.kind = 'wallet'", holds: "x.status = x.owner_status",
				row: "'account ' || x.id || ': ' || x.status || ', its owner ' || x.owner_status",
			},
			{
				name: "closed", sentence: "the wallets of an owner who has closed the account are empty",
				among: "x.owner_closed", holds: "x.balance = 0 AND x.held = 0 AND x.reserved = 0",
				row: "'account ' || x.id || ': balance ' || x.balance || ', held ' || x.held",
			},
			{
				name: "floor", sentence: "balance - held is not below the floor, and every wallet has one",
				holds: "(x.floor IS NOT NULL OR x.kind <> 'wallet') AND (x.floor IS NULL OR x.balance - x.held >= x.floor)",
				row:   "'account ' || x.id",
			},
		},
	},
	{
		group: "accounts", rows: currencySums,
		rules: []rule{
			{
				name: "currency_sums", sentence: "in each currency all postings sum to zero, and all balances too",
				holds: "x.posted = 0 AND x.balances = 0", row: "'currency ' || x.currency",
			},
		},
	},
	{
		rows: sharedKeys, by: sortingGroups,
		rules: []rule{
			{
				name: "keys", sentence: "an owner's idempotency key had one effect at most",
				holds: "x.uses = 1", row: "'owner ' || x.owner || ' key ' || x.idem_key",
				count: "(SELECT count(*) FROM keyed_transfers)",
			},
		},
	},
	{
		group: "transfers", rows: authorizationEnds,
		rules: []rule{
			{
				name: "one_end", sentence: "an authorization ends in one capture, one void or by expiry, and in no two of them",
				holds: `CASE WHEN x.kind IS DISTINCT FROM 'authorization' THEN false
					WHEN x.state = 'posted' THEN x.captures = 1 AND x.voids = 0 AND x.captured = x.posted_amount
					WHEN x.state = 'voided' THEN x.captures = 0 AND x.voids = CASE x.reason WHEN 'voided_by_payee' THEN 1 ELSE 0 END
					ELSE x.captures = 0 AND x.voids = 0 END`,
				row: "'transfer ' || x.id",
			},
		},
	},
	{
		group: "transfers", rows: reversedTransfers,
		rules: []rule{
			{
				name: "reversals", sentence: "reversed_amount is the sum of a transfer's posted reversals, which mirror it, and never more than was posted",
				holds: "x.reversed_amount = x.total AND x.reversed_amount <= x.posted_amount AND x.mirrored", row: "'transfer ' || x.id",
			},
		},
	},
	{
		group: "transfers", rows: transfersWithPayments,
		rules: []rule{
			{
				name: "payments", sentence: "a deposit or withdrawal has one payment of the same amount, currency and direction",
				holds: "x.amount = x.payment_amount AND x.currency = x.payment_currency AND x.kind = x.direction", row: "'transfer ' || x.id",
			},
			{
				name: "settled", sentence: "a payment is executed when its transfer is posted, rejected when the bank has rejected it, and open while it is pending",
				among: "x.kind IS NOT NULL AND x.payment_state IS NOT NULL",
				holds: `CASE x.payment_state WHEN 'executed' THEN x.state = 'posted' AND x.posted_amount = x.amount
					WHEN 'rejected' THEN x.state = 'voided' AND x.reason = 'bank_rejected'
					ELSE x.state = 'pending' END`,
				row: "'transfer ' || x.id || ': ' || x.state || ', payment ' || x.payment_state",
			},
		},
	},
	{
		group: "transfers", rows: systemAccountSums,
		rules: []rule{
			{
				name: "clearing", sentence: "a clearing account holds the executed withdrawals less the executed deposits, and what suspense brought into it",
				holds: "x.clearing = x.executed + x.suspended",
				row:   "'currency ' || x.currency || ': balance ' || x.clearing || ', payments ' || x.executed || ', from suspense ' || x.suspended",
			},
			{
				name: "suspense", sentence: "a suspense account holds what suspense transfers, all between it and clearing, left in it",
				holds: "x.suspense = -x.suspended AND x.strays = 0",
				row:   "'currency ' || x.currency || ': balance ' || x.suspense || ', brought into clearing ' || x.suspended",
			},
		},
	},
	{
		rows: limitDays,
		rules: []rule{
			{
				name: "limits", sentence: "what was spent under a limit on a day is the sum of its pending and posted transfers of that day, and no more than the limit allows",
				holds: "x.spent = x.counted AND x.dated AND (x.max_per_day IS NULL OR x.spent <= x.max_per_day)",
				row:   "'limit ' || x.limit_id || ' ' || x.currency || ' ' || x.day || ': spent ' || COALESCE(x.spent, 0) || ', transfers ' || COALESCE(x.counted, 0)",
			},
		},
	},
	{
		rows: walletLimitDays,
		rules: []rule{
			{
				name: "wallet_limits", sentence: "what was spent from a limited wallet on a day is the sum of its pending and posted transfers that count, all of that day, and a wallet with a limit is marked",
				holds: "x.spent = x.counted AND x.dated AND x.limited IS TRUE",
				row:   "'account ' || x.account_id || COALESCE(' ' || x.day, '') || ': spent ' || COALESCE(x.spent, 0) || ', transfers ' || COALESCE(x.counted, 0)",
			},
		},
	},
	{
		rows: `(SELECT t.id, t.kind, t.expires_at, p.state AS payment_state, p.next_at
			FROM public.transfers t LEFT JOIN LATERAL (SELECT * FROM public.payments p WHERE p.transfer_id = t.id OFFSET 0) p ON true
			WHERE t.state = 'pending') x`,
		rules: []rule{
			{
				// The rule "settled" finds a final payment of a pending transfer.
				name: "way_to_end", sentence: "a pending transfer expires, or a worker is due to handle its payment, or the payment awaits review",
				holds: `CASE x.kind WHEN 'authorization' THEN x.expires_at IS NOT NULL
					ELSE x.next_at IS NOT NULL OR x.payment_state IN ('needs_review', 'executed', 'rejected') END`,
				row: "'transfer ' || x.id",
			},
		},
	},
	{
		group: "transfers", rows: transfersWithEvents, long: true, by: sorting,
		rules: []rule{
			{
				name: "events", sentence: "a transfer has one event for each state that it took, and the last is the state it is in",
				holds: `x.opened = CASE WHEN x.kind IN ('authorization', 'deposit', 'withdrawal') AND x.state <> 'refused' THEN 1 ELSE 0 END
					AND x.ended = CASE WHEN x.state = 'pending' THEN 0 ELSE 1 END
					AND (x.ended = 0 OR x.end_state = x.state) AND (x.opened = 0 OR x.ended = 0 OR x.in_order)`,
				row: "'transfer ' || x.id",
			},
		},
	},
	{
		group: "transfers",
		rows:  `(SELECT id, xid, event_number(pg_snapshot_xmax(pg_current_snapshot())) AS next FROM all_events) x`,
		rules: []rule{
			{
				name: "event_order", sentence: "an event has a lower number than the events to come; others are not delivered: see kizod repair",
				holds: "x.xid < x.next", row: "'event ' || x.id || ': number ' || x.xid || ', the next is ' || x.next",
			},
		},
	},
	{
		group: "transfers",
		rows:  `(SELECT e.id, e.xid FROM events e JOIN transfers t ON t.event_id = e.id AND t.event_xid = e.xid) x`,
		rules: []rule{
			{
				name: "event_positions", sentence: "no event in the row of a transfer has the number and the id of one in the table",
				holds: "false", row: "'event ' || x.id || ': number ' || x.xid", count: "(SELECT count(*) FROM all_events)",
			},
		},
	},
}

const (
	// Captures and voids move nothing themselves; a posting of one finds no transfer here. Nor does
	// one of a transfer that has postings in its own row: those two are the one amount between the
	// accounts of the row. The sum of two postings is their minimum plus their maximum, which is
	// cheaper to compute.
	transfersWithPostings = `(
		SELECT COALESCE(t.id, p.transfer_id) AS id, t.state, t.debit_account, t.credit_account, t.posted_amount,
			COALESCE(p.postings, 0) AS postings, p.total, p.taken_from, p.given_to, p.given
		FROM (SELECT * FROM transfers WHERE kind NOT IN ('capture', 'void') AND debit_seq IS NULL) t
		FULL JOIN (
			SELECT transfer_id, count(*) AS postings, min(amount) + max(amount) AS total, max(amount) AS given,
				min(account_id) FILTER (WHERE amount < 0) AS taken_from,
				min(account_id) FILTER (WHERE amount > 0) AS given_to
			FROM postings GROUP BY transfer_id) p ON p.transfer_id = t.id
		UNION ALL
		SELECT id, state, debit_account, credit_account, posted_amount, 2, 0, debit_account, credit_account, posted_amount
		FROM transfers WHERE debit_seq IS NOT NULL) x`

	// The first 64 bits of a version 7 UUID with microseconds in rand_a (RFC 9562, section 5.7), as
	// two numbers: the milliseconds, and the version with the microseconds.
	transfersWithAccounts = `(
		SELECT t.id, t.kind, t.state, t.currency, t.amount, t.posted_amount, t.credit_account,
			d.currency AS debit_currency, c.currency AS credit_currency,
			num_nonnulls(t.debit_seq, t.debit_balance, t.credit_seq, t.credit_balance, t.event_xid, t.event_id, t.digest) AS own_columns,
			substr(uuid_send(t.id), 1, 8) AS id_begins,
			int8send((floor(extract(epoch FROM t.resolved_at) * 1000)::bigint << 16)
				| (7 << 12) | (extract(microseconds FROM t.resolved_at)::bigint % 1000)) AS time_begins
		FROM transfers t
		LEFT JOIN accounts d ON d.id = t.debit_account
		LEFT JOIN accounts c ON c.id = t.credit_account) x`

	// The balance and the seq of an opening are what the postings before it have come to.
	accountsWithPostings = `(
		SELECT COALESCE(a.id, p.account_id) AS id, a.id AS id_known, a.balance, a.seq, a.as_of,
			COALESCE(p.postings, 0) AS postings, COALESCE(p.before, 0) AS before, COALESCE(p.first, 0) AS first,
			COALESCE(p.last, 0) AS last, COALESCE(p.total, 0) AS total, p.latest, p.unchained, p.misdated, p.misordered,
			a.credited, COALESCE(p.came, 0) AS came, COALESCE(p.came, 0) - a.credited AS uncounted, p.least_uncounted, p.most_uncounted,
			COALESCE(p.checkpoints, 0) AS checkpoints, COALESCE(k.checkpoints, 0) AS noted_checkpoints
		FROM audited_accounts a
		FULL JOIN (
			SELECT account_id, count(*) FILTER (WHERE NOT opening) AS postings, COALESCE(max(seq) FILTER (WHERE opening), 0) AS before,
				min(seq) FILTER (WHERE NOT opening) AS first, max(seq) AS last, sum(amount) AS total,
				max(posted_at) AS latest, min(seq) FILTER (WHERE NOT chained) AS unchained,
				min(seq) FILTER (WHERE NOT dated) AS misdated, min(seq) FILTER (WHERE NOT ordered) AS misordered,
				max(came) AS came, min(came - credited) AS least_uncounted, max(came - credited) AS most_uncounted,
				count(credited) AS checkpoints
			FROM (
				SELECT account_id, seq, amount, posted_at, opening,
					COALESCE(sum(amount) FILTER (WHERE amount > 0 AND NOT opening) OVER account, 0) AS came,
					balance_after = amount + lag(balance_after, 1, 0::bigint) OVER account AS chained,
					posted_at > lag(posted_at, 1, '-infinity') OVER account
						OR event_id IS NULL AND posted_at = lag(posted_at, 1, '-infinity') OVER account AS dated,
					event_xid > max(event_xid) OVER before OR event_xid = max(event_xid) OVER before AND event_id > max(event_id) OVER before AS ordered
				FROM account_postings
				WINDOW account AS (PARTITION BY account_id ORDER BY seq),
					before AS (PARTITION BY account_id ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) l
			LEFT JOIN account_checkpoints c USING (account_id, seq, posted_at)
			GROUP BY account_id) p ON p.account_id = a.id
		LEFT JOIN (SELECT account_id, count(*) AS checkpoints FROM account_checkpoints GROUP BY account_id) k
			ON k.account_id = COALESCE(a.id, p.account_id)) x`

	accountsWithHolds = `(
		SELECT a.id, a.kind, a.balance, a.held, a.floor, a.status, COALESCE(o.status, 'active') AS owner_status,
			o.closed_at IS NOT NULL AS owner_closed,
			COALESCE(h.reserved, 0) AS reserved, COALESCE(n.held, 0) AS noted_held
		FROM accounts a
		LEFT JOIN (
			SELECT debit_account, sum(amount) AS reserved FROM public.transfers
			WHERE state = 'pending' AND kind IN ('authorization', 'withdrawal')
			GROUP BY debit_account) h ON h.debit_account = a.id
		LEFT JOIN account_holds n ON n.account_id = a.id
		LEFT JOIN account_owners o ON o.owner = a.owner) x`

	// The postings before the horizon are in what was signed.
	limitDays = `(SELECT n.*, l.max_per_day FROM (
			SELECT limit_id, currency, day, s.spent, COALESCE(c.counted, 0) AS counted, COALESCE(c.dated, true) AS dated
			FROM public.limit_spending s
			FULL JOIN (
				SELECT m.limit_id, t.currency, m.day, sum(CASE t.state WHEN 'pending' THEN t.amount WHEN 'posted' THEN t.posted_amount ELSE 0 END) AS counted,
					bool_and((t.created_at AT TIME ZONE 'UTC')::date = m.day) IS TRUE AS dated
				FROM public.limited_transfers m
				LEFT JOIN LATERAL (SELECT * FROM public.transfers t WHERE t.id = m.transfer_id OFFSET 0) t ON true
				GROUP BY 1, 2, 3) c USING (limit_id, currency, day)) n
		LEFT JOIN public.spending_limits l ON l.limit_id = n.limit_id AND l.currency = n.currency) x`
	walletLimitDays = `(SELECT n.*, a.limited FROM (
			SELECT account_id, day, s.spent, COALESCE(c.counted, 0) AS counted, COALESCE(c.dated, true) AS dated
			FROM public.wallet_spending s
			FULL JOIN (
				SELECT m.account_id, m.day, sum(CASE t.state WHEN 'pending' THEN t.amount WHEN 'posted' THEN t.posted_amount ELSE 0 END) AS counted,
					bool_and((t.created_at AT TIME ZONE 'UTC')::date = m.day AND t.debit_account = m.account_id) IS TRUE AS dated
				FROM public.wallet_limited_transfers m
				LEFT JOIN LATERAL (SELECT * FROM public.transfers t WHERE t.id = m.transfer_id OFFSET 0) t ON true
				GROUP BY 1, 2) c USING (account_id, day)
			UNION ALL SELECT account_id, NULL, 0, 0, true FROM public.wallet_limits) n
		LEFT JOIN public.accounts a ON a.id = n.account_id) x`
	currencySums = `(
		SELECT currency, sum(balance) AS balances, sum(posted) AS posted
		FROM (
			SELECT currency, balance, 0 AS posted FROM accounts
			UNION ALL
			SELECT COALESCE(a.currency, 'of no account'), 0, p.total
			FROM (SELECT account_id, sum(amount) AS total FROM account_postings WHERE NOT opening GROUP BY account_id) p
			LEFT JOIN accounts a ON a.id = p.account_id
			UNION ALL
			SELECT currency, 0, balances FROM signed) s
		GROUP BY currency) x`

	// Keys are first grouped by their hash, which takes half the time. Only keys with the same hash
	// are compared themselves.
	sharedKeys = `(
		SELECT owner, idem_key, count(*) AS uses FROM keyed_transfers
		WHERE uuid_hash_extended(owner, 0) # hashtextextended(idem_key, 0) IN (
			SELECT uuid_hash_extended(owner, 0) # hashtextextended(idem_key, 0) FROM keyed_transfers GROUP BY 1 HAVING count(*) > 1)
		GROUP BY owner, idem_key) x`

	authorizationEnds = `(
		SELECT COALESCE(t.id, f.target) AS id, t.kind, t.state, t.reason, t.posted_amount,
			COALESCE(f.captures, 0) AS captures, f.captured, COALESCE(f.voids, 0) AS voids
		FROM (SELECT * FROM transfers WHERE kind = 'authorization') t
		FULL JOIN (
			SELECT target, count(*) FILTER (WHERE kind = 'capture') AS captures,
				sum(posted_amount) FILTER (WHERE kind = 'capture') AS captured, count(*) FILTER (WHERE kind = 'void') AS voids
			FROM transfers WHERE kind IN ('capture', 'void') AND state <> 'refused'
			GROUP BY target) f ON f.target = t.id) x`

	reversedTransfers = `(
		SELECT COALESCE(t.id, r.target) AS id, t.posted_amount, t.reversed_amount, COALESCE(r.total, 0) AS total,
			r.target IS NULL OR (r.debits = ARRAY[t.credit_account] AND r.credits = ARRAY[t.debit_account]) AS mirrored
		FROM transfers t
		FULL JOIN (
			SELECT target, sum(posted_amount) AS total, array_agg(DISTINCT debit_account) AS debits,
				array_agg(DISTINCT credit_account) AS credits
			FROM transfers WHERE kind = 'reversal' AND state = 'posted' GROUP BY target) r ON r.target = t.id
		WHERE r.target IS NOT NULL OR t.reversed_amount <> 0) x`

	transfersWithPayments = `(
		SELECT COALESCE(t.id, p.transfer_id) AS id, t.kind, t.state, t.reason, t.amount, t.posted_amount, t.currency,
			p.direction, p.state AS payment_state, p.amount AS payment_amount, p.currency AS payment_currency
		FROM (SELECT * FROM transfers WHERE kind IN ('deposit', 'withdrawal') AND state <> 'refused') t
		FULL JOIN payments p ON p.transfer_id = t.id) x`

	systemAccountSums = `(
		SELECT COALESCE(a.currency, p.currency, t.currency) AS currency, COALESCE(a.clearing, 0) AS clearing,
			COALESCE(a.suspense, 0) AS suspense, COALESCE(p.executed, 0) AS executed,
			COALESCE(t.suspended, 0) AS suspended, COALESCE(t.strays, 0) AS strays
		FROM (
			SELECT currency, sum(balance) FILTER (WHERE kind = 'clearing') AS clearing,
				sum(balance) FILTER (WHERE kind = 'suspense') AS suspense
			FROM accounts WHERE kind IN ('clearing', 'suspense') GROUP BY currency) a
		FULL JOIN (
			SELECT currency, sum(CASE direction WHEN 'deposit' THEN -amount ELSE amount END) AS executed
			FROM public.payments WHERE state = 'executed' GROUP BY currency) p ON p.currency = a.currency
		FULL JOIN (
			SELECT t.currency, sum(CASE 'clearing' WHEN c.kind THEN t.posted_amount WHEN d.kind THEN -t.posted_amount END) AS suspended,
				count(*) FILTER (WHERE (d.kind, c.kind) NOT IN (('clearing', 'suspense'), ('suspense', 'clearing'))) AS strays
			FROM suspense_transfers t LEFT JOIN accounts d ON d.id = t.debit_account LEFT JOIN accounts c ON c.id = t.credit_account
			GROUP BY t.currency) t ON t.currency = COALESCE(a.currency, p.currency)) x`

	// Captures and voids have no event of their own: the authorization has one for its new state.
	// An event in the row of its transfer is that of its state.
	transfersWithEvents = `(
		SELECT COALESCE(t.id, e.transfer_id) AS id, t.kind, t.state, COALESCE(e.opened, 0) AS opened,
			COALESCE(e.ended, 0) AS ended, e.end_state, e.in_order
		FROM (SELECT * FROM transfers WHERE kind NOT IN ('capture', 'void') AND debit_seq IS NULL) t
		FULL JOIN (
			SELECT transfer_id, count(*) FILTER (WHERE state = 'pending') AS opened,
				count(*) FILTER (WHERE state <> 'pending') AS ended,
				max(state) FILTER (WHERE state <> 'pending') AS end_state,
				max(id) FILTER (WHERE state = 'pending') < min(id) FILTER (WHERE state <> 'pending') AS in_order
			FROM transfer_events GROUP BY transfer_id) e ON e.transfer_id = t.id
		UNION ALL
		SELECT id, kind, state, 0, 1, state, NULL FROM transfers WHERE debit_seq IS NOT NULL) x`
)
