package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/JDevAman/kizo/server/failpoint"
)

// A batch reads in one round trip, and writes and commits in a second one, whatever the number of
// its commands. A batch with limited wallets reads their limits in one more. A batch of transfers
// between remembered accounts does without the first (remembered.go).
const (
	begin = `BEGIN ISOLATION LEVEL READ COMMITTED`
	// For this transaction only: no sequential scans, since a plan made while the tables were small
	// must not be used when they are large; one generic plan for batches of any size, since small
	// batches would be planned each time; a limit on waiting for a lock (Config.LockTimeout), and
	// one on keeping locks if the connection to this process is lost.
	tune = `SELECT set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true),
		set_config('lock_timeout', '%dms', true), set_config('idle_in_transaction_session_timeout', '5s', true)`

	// Locks accounts with NO KEY UPDATE in the order of their ids, so that two batches with common
	// accounts wait for each other and never deadlock. Later statements see everything that was
	// committed before the locks were granted.
	lockAccounts   = selectAccounts + ` ORDER BY id FOR NO KEY UPDATE`
	selectAccounts = `SELECT id, COALESCE(owner, '00000000-0000-0000-0000-000000000000'), currency, kind,
			balance, held, seq, floor, status, as_of, limited
		FROM accounts WHERE id = ANY($1)`
	readClock = `SELECT clock_timestamp()`
	// For a batch that is decided on remembered accounts. accounts_outdated reads the setting.
	tuneUnlocked = tune + `, set_config('kizo.remembered_accounts', 'on', true), clock_timestamp()`
	// OFFSET 0 keeps the planner from turning the look-ups into one join, which would read the
	// whole table if the plan was made while the table was small.
	findKeys = `SELECT ` + transferColumns + `
		FROM unnest($1::uuid[], $2::text[]) AS k (owner, idem_key)
		CROSS JOIN LATERAL (SELECT * FROM transfers x
			WHERE x.owner = k.owner AND x.idem_key = k.idem_key OFFSET 0) t`
	findTargets  = `SELECT ` + transferColumns + ` FROM transfers t WHERE t.id = ANY($1)`
	lockPayments = `SELECT transfer_id, fence, state FROM payments
		WHERE transfer_id = ANY($1) ORDER BY transfer_id FOR UPDATE`

	// In the order of the keys, so that two batches that share keys but no account wait for each
	// other at the unique index and never deadlock. A trigger adds the postings of these rows to
	// the balances of the accounts. The events of the rows take one block of ids, and a number
	// that is not below that of any transaction which has changed these accounts before
	// (migrations/0004_postings_in_transfers.sql).
	insertTransfers = `INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount,
			posted_amount, currency, owner, idem_key, fingerprint, memo, reason, target, expires_at,
			created_at, resolved_at, memo_key, tags, debit_seq, debit_balance, credit_seq, credit_balance,
			digest, event_xid, event_id)
		SELECT id, kind, state, debit, NULLIF(credit, 0), amount,
			posted, currency, owner, idem_key, fingerprint, memo, reason, target, expires_at,
			created_at, resolved_at, NULLIF(memo_key, ''), NULLIF(tags, ''), debit_seq, debit_balance, credit_seq, credit_balance,
			digest, CASE WHEN debit_seq IS NOT NULL THEN number END, CASE WHEN debit_seq IS NOT NULL THEN block + nth - 1 END
		FROM (SELECT nextval('events_id_seq') AS block,
				GREATEST(event_number(pg_current_xact_id()),
					(event_number(pg_snapshot_xmax(pg_current_snapshot()))::text::bigint - 1)::text::xid8) AS number OFFSET 0) e
		CROSS JOIN unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
			$7::bigint[], $8::text[], $9::uuid[], $10::text[], $11::bytea[], $12::text[], $13::text[],
			$14::uuid[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::text[],
			$19::text[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::bytea[]) WITH ORDINALITY
		AS n (id, kind, state, debit, credit, amount, posted, currency, owner, idem_key, fingerprint,
			memo, reason, target, expires_at, created_at, resolved_at, memo_key, tags, debit_seq, debit_balance,
			credit_seq, credit_balance, digest, nth)
		ORDER BY owner, idem_key COLLATE "C"`
	updateTransfers = `UPDATE transfers t SET state = n.state, posted_amount = n.posted,
			reversed_amount = n.reversed, reason = n.reason, resolved_at = n.resolved_at
		FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::timestamptz[])
			AS n (id, state, posted, reversed, reason, resolved_at)
		WHERE t.id = n.id`
	insertPostings = `INSERT INTO postings (account_id, seq, transfer_id, amount, balance_after, posted_at)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[], $6::timestamptz[])`
	insertEvents = `INSERT INTO events (transfer_id, state, debit_account, credit_account, at, digest)
		SELECT transfer_id, state, debit, NULLIF(credit, 0), at, digest
		FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::bytea[])
			WITH ORDINALITY AS n (transfer_id, state, debit, credit, at, digest, nth)
		ORDER BY nth`
	updateAccounts = `UPDATE accounts a SET balance = n.balance, held = n.held, seq = n.seq, as_of = n.as_of
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[])
			AS n (id, balance, held, seq, as_of)
		WHERE a.id = n.id`
	insertPayments = `INSERT INTO payments (transfer_id, direction, external_ref, amount, currency, trace, next_at)
		SELECT transfer_id, direction, ref, amount, currency, trace, $7
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
			AS n (transfer_id, direction, ref, amount, currency, trace)`
	settlePayments = `WITH settled AS (
			UPDATE payments p SET state = n.state, bank_ref = n.bank_ref, last_error = n.note,
				next_at = NULL, lease_until = NULL, updated_at = clock_timestamp()
			FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS n (transfer_id, state, bank_ref, note)
			WHERE p.transfer_id = n.transfer_id
			RETURNING p.transfer_id, p.attempts, p.state, p.bank_ref, p.last_error)
		INSERT INTO payment_log (transfer_id, attempt, kind, detail)
		SELECT transfer_id, attempts, state, left(concat_ws(': ', NULLIF(bank_ref, ''), NULLIF(last_error, '')), 500) FROM settled`
)

// rules are how a batch is decided, how long it waits for a lock, and what it need not read. A test
// replaces decide with a function that panics.
type rules struct {
	decide             func(*batch, *command) outcome
	tune, tuneUnlocked string // the second for runRemembered
	remembered         *rememberedAccounts
}

// read begins the transaction, locks the rows of a batch and loads them.
func (b *batch) read(ctx context.Context, conn *pgx.Conn, r rules, commands []*command) error {
	load := newRowsToLoad(commands)
	var queue pgx.Batch
	queue.Queue(begin)
	queue.Queue(r.tune)
	queue.Queue(lockAccounts, load.accounts).Query(b.scanAccounts)
	queue.Queue(readClock).QueryRow(func(row pgx.Row) error { return b.scanClock(row) })
	queue.Queue(findKeys, load.owners, load.keys).Query(b.scanTransfers)
	if len(load.targets) > 0 {
		queue.Queue(findTargets, load.targets).Query(b.scanTransfers)
	}
	if len(load.payments) > 0 {
		queue.Queue(lockPayments, load.payments).Query(b.scanPayments)
	}
	b.queueLimits(&queue, lockLimits, load.limits)
	b.clock.sent = time.Now()
	if err := conn.SendBatch(ctx, &queue).Close(); err != nil {
		return err
	}
	b.now = b.clock.database
	return b.readWalletLimits(ctx, conn, load.targets)
}

// write sends the decided changes together with the COMMIT.
func (b *batch) write(ctx context.Context, conn *pgx.Conn) error {
	var queue pgx.Batch
	b.queueTransfers(&queue)
	b.queuePostings(&queue)
	b.queueAccounts(&queue)
	b.queuePayments(&queue)
	b.writeLimits(&queue)
	b.writeWalletLimits(&queue)
	queue.Queue(`COMMIT`)
	return conn.SendBatch(ctx, &queue).Close()
}

// empty reports whether there is nothing to write because the batch contained only replays.
func (b *batch) empty() bool {
	return len(b.inserted) == 0 && len(b.updated) == 0 && len(b.settledPayments) == 0
}

// rowsToLoad names the rows that a batch loads.
type rowsToLoad struct {
	accounts                  []int64    // pgx would encode AccountIDs by reflection
	owners, targets, payments [][16]byte // pgx would encode a uuid.UUID as text first
	keys                      []string
	limits                    limitsToLoad
}

func newRowsToLoad(commands []*command) rowsToLoad {
	n := countCommands(commands)
	rows := rowsToLoad{accounts: make([]int64, 0, 2*n), owners: make([][16]byte, 0, n), keys: make([]string, 0, n)}
	rows.add(commands)
	return rows
}

func (rows *rowsToLoad) add(commands []*command) {
	for _, c := range commands {
		if c.group != nil {
			rows.add(c.group)
			continue
		}
		rows.accounts = append(rows.accounts, int64(c.debit), int64(c.credit))
		if c.key != "" {
			rows.owners = append(rows.owners, c.owner)
			rows.keys = append(rows.keys, c.key)
		}
		if c.target != uuid.Nil {
			rows.targets = append(rows.targets, c.target)
		}
		rows.limits.add(c)
		if c.op == opSettle {
			rows.payments = append(rows.payments, c.target)
		}
	}
}

func newBatch(size int) *batch {
	return &batch{
		accounts: make(map[AccountID]*account, 2*size),
		byKey:    make(map[ownerKey]*Transfer, size),
		byID:     make(map[uuid.UUID]*Transfer, size),
		payments: make(map[uuid.UUID]*payment),
	}
}

// scanClock reads the database's clock from the last column of a row; before are the others.
func (b *batch) scanClock(row pgx.Row, before ...any) error {
	err := row.Scan(append(before, &b.clock.database)...)
	b.clock.received = time.Now()
	return err
}

// again returns a batch that has read and decided nothing, for the same connection.
func (b *batch) again(commands []*command) *batch {
	next := newBatch(countCommands(commands))
	next.epoch = b.epoch
	return next
}

func (b *batch) scanAccounts(rows pgx.Rows) error {
	for rows.Next() {
		var a account
		if err := rows.Scan((*int64)(&a.id), (*[16]byte)(&a.owner), &a.currency, &a.kind, &a.balance, &a.held, &a.seq,
			&a.floor, &a.status, &a.asOf, &a.limited); err != nil {
			return err
		}
		b.accounts[a.id] = &a
	}
	return rows.Err()
}

func (b *batch) scanTransfers(rows pgx.Rows) error {
	for rows.Next() {
		t, err := scanTransfer(rows)
		if err != nil {
			return err
		}
		if known, ok := b.byID[t.ID]; ok {
			t = known // the same transfer was found by key and as a target: use one value for both
		}
		b.byID[t.ID] = t
		b.byKey[ownerKey{t.Owner, t.Key}] = t
	}
	return rows.Err()
}

func (b *batch) scanPayments(rows pgx.Rows) error {
	for rows.Next() {
		var p payment
		if err := rows.Scan(&p.transfer, &p.fence, &p.state); err != nil {
			return err
		}
		b.payments[p.transfer] = &p
	}
	return rows.Err()
}

// queueInserted queues the new transfers, at least one, and returns their columns.
func (b *batch) queueInserted(queue *pgx.Batch) *transferColumnValues {
	n := len(b.inserted)
	c, own := newTransferColumns(n), newOwnPostingColumns(n)
	for i := range b.inserted {
		c.add(b.inserted[i].transfer)
		own.add(&b.inserted[i])
	}
	queue.Queue(insertTransfers, c.id, c.kind, c.state, c.debit, c.credit, c.amount, c.posted,
		c.currency, c.owner, c.key, c.fingerprint, c.memo, c.reason, c.target, c.expires, c.created, c.resolved, c.memoKey, c.tags,
		own.debitSeq, own.debitBalance, own.creditSeq, own.creditBalance, own.digest)
	return c
}

func (b *batch) queueTransfers(queue *pgx.Batch) {
	if len(b.inserted) > 0 {
		b.queueInserted(queue)
	}
	if n := len(b.updated); n > 0 {
		c := newTransferColumns(n)
		seen := make(map[uuid.UUID]bool, n)
		for _, t := range b.updated {
			if !seen[t.ID] {
				c.add(t)
			}
			seen[t.ID] = true
		}
		queue.Queue(updateTransfers, c.id, c.state, c.posted, c.reversed, c.reason, c.resolved)
	}
	if n := len(b.events); n > 0 {
		ids, states, at := make([][16]byte, n), make([]string, n), make([]time.Time, n)
		debits, credits, digests := make([]int64, n), make([]int64, n), make(pgtype.FlatArray[[]byte], n)
		for i := range b.events {
			t := &b.events[i].transfer
			sum := digest(t)
			ids[i], states[i], at[i] = t.ID, string(t.State), b.events[i].at
			debits[i], credits[i], digests[i] = int64(t.DebitAccount), int64(t.CreditAccount), sum[:]
		}
		queue.Queue(insertEvents, ids, states, debits, credits, at, digests)
	}
}

func (b *batch) queuePostings(queue *pgx.Batch) {
	n := len(b.postings)
	if n == 0 {
		return
	}
	accounts, seqs, transfers := make([]int64, n), make([]int64, n), make([][16]byte, n)
	amounts, balances, at := make([]int64, n), make([]int64, n), make([]time.Time, n)
	for i, p := range b.postings {
		accounts[i], seqs[i], transfers[i] = int64(p.account), p.seq, p.transfer
		amounts[i], balances[i], at[i] = p.amount, p.balanceAfter, p.at
	}
	queue.Queue(insertPostings, accounts, seqs, transfers, amounts, balances, at)
}

func (b *batch) queueAccounts(queue *pgx.Batch) {
	n := len(b.accounts)
	ids, balances, held := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	seqs, asOf := make([]int64, 0, n), make([]time.Time, 0, n)
	for _, a := range b.accounts {
		if a.changed {
			ids, balances, held = append(ids, int64(a.id)), append(balances, a.balance), append(held, a.held)
			seqs, asOf = append(seqs, a.seq), append(asOf, a.asOf)
		}
	}
	if len(ids) > 0 {
		queue.Queue(updateAccounts, ids, balances, held, seqs, asOf)
	}
}

func (b *batch) queuePayments(queue *pgx.Batch) {
	if len(b.newPayments) > 0 {
		var (
			ids                                  [][16]byte
			directions, refs, currencies, traces []string
			amounts                              []int64
		)
		for _, p := range b.newPayments {
			ids, directions, refs = append(ids, p.transfer), append(directions, string(p.kind)), append(refs, p.externalRef())
			amounts, currencies, traces = append(amounts, p.amount), append(currencies, p.currency), append(traces, p.trace)
		}
		queue.Queue(insertPayments, ids, directions, refs, amounts, currencies, traces, b.now)
	}
	if len(b.settledPayments) > 0 {
		var (
			ids                 [][16]byte
			states, refs, notes []string
		)
		for _, p := range b.settledPayments {
			ids, states = append(ids, p.transfer), append(states, string(p.state))
			refs, notes = append(refs, p.bankRef), append(notes, p.note)
		}
		queue.Queue(settlePayments, ids, states, refs, notes)
	}
}

// transferColumnValues holds the columns of transfers as arrays for unnest. FlatArray is used for
// the element types that pgx would encode by reflection.
type transferColumnValues struct {
	id, owner                                [][16]byte
	kind, state, currency, key, memo, reason []string
	memoKey, tags                            []string
	debit, credit, amount, posted, reversed  []int64
	fingerprint                              pgtype.FlatArray[[]byte]
	target                                   pgtype.FlatArray[*[16]byte]
	created                                  []time.Time
	expires, resolved                        pgtype.FlatArray[*time.Time]
}

func newTransferColumns(n int) *transferColumnValues {
	text, number := make([]string, 8*n), make([]int64, 5*n)
	texts := func(i int) []string { return text[i*n : i*n : (i+1)*n] }
	numbers := func(i int) []int64 { return number[i*n : i*n : (i+1)*n] }
	return &transferColumnValues{
		id: make([][16]byte, 0, n), owner: make([][16]byte, 0, n),
		kind: texts(0), state: texts(1), currency: texts(2), key: texts(3), memo: texts(4), reason: texts(5), memoKey: texts(6), tags: texts(7),
		debit: numbers(0), credit: numbers(1), amount: numbers(2), posted: numbers(3), reversed: numbers(4),
		fingerprint: make([][]byte, 0, n), target: make([]*[16]byte, 0, n), created: make([]time.Time, 0, n),
		expires: make([]*time.Time, 0, n), resolved: make([]*time.Time, 0, n),
	}
}

func (c *transferColumnValues) add(t *Transfer) {
	c.id, c.owner = append(c.id, t.ID), append(c.owner, t.Owner)
	c.kind, c.state = append(c.kind, string(t.Kind)), append(c.state, string(t.State))
	c.currency, c.key = append(c.currency, string(t.Amount.Currency)), append(c.key, t.Key)
	c.memo, c.reason = append(c.memo, t.Memo), append(c.reason, t.Reason)
	c.memoKey, c.tags = append(c.memoKey, memoKey(t.Memo)), append(c.tags, string(t.Tags))
	c.debit, c.credit = append(c.debit, int64(t.DebitAccount)), append(c.credit, int64(t.CreditAccount))
	c.amount, c.posted = append(c.amount, t.Amount.Minor), append(c.posted, t.PostedAmount)
	c.reversed, c.fingerprint = append(c.reversed, t.ReversedAmount), append(c.fingerprint, t.fingerprint[:])
	c.created = append(c.created, t.CreatedAt)
	c.expires, c.resolved = append(c.expires, orNil(&t.ExpiresAt)), append(c.resolved, orNil(&t.ResolvedAt))
	var target *[16]byte
	if t.Target != uuid.Nil {
		target = (*[16]byte)(&t.Target)
	}
	c.target = append(c.target, target)
}

// ownPostingColumns holds the columns of transfers with the postings of the row; all are NULL in a
// row without.
type ownPostingColumns struct {
	debitSeq, debitBalance, creditSeq, creditBalance pgtype.FlatArray[*int64]
	digest                                           pgtype.FlatArray[[]byte]
}

func newOwnPostingColumns(n int) *ownPostingColumns {
	number := make([]*int64, 4*n)
	numbers := func(i int) []*int64 { return number[i*n : i*n : (i+1)*n] }
	return &ownPostingColumns{
		debitSeq: numbers(0), debitBalance: numbers(1), creditSeq: numbers(2), creditBalance: numbers(3),
		digest: make([][]byte, 0, n),
	}
}

func (c *ownPostingColumns) add(row *newRow) {
	var debit, credit struct{ seq, balance *int64 }
	var sum []byte
	if row.ownPostings() {
		debit.seq, debit.balance = &row.debit.seq, &row.debit.balance
		credit.seq, credit.balance = &row.credit.seq, &row.credit.balance
		d := digest(row.transfer)
		sum = d[:]
	}
	c.debitSeq, c.debitBalance = append(c.debitSeq, debit.seq), append(c.debitBalance, debit.balance)
	c.creditSeq, c.creditBalance = append(c.creditSeq, credit.seq), append(c.creditBalance, credit.balance)
	c.digest = append(c.digest, sum)
}

func orNil(t *time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return t
}

// run executes a batch in one transaction on conn. wrote reports whether the COMMIT was sent. If it
// was sent and there is an error, the transaction may or may not have been committed.
func (r rules) run(ctx context.Context, conn *pgx.Conn, commands []*command) (_ []outcome, wrote bool, _ error) {
	b, remembered := r.remembered.begin(conn, commands)
	if remembered {
		if outcomes, wrote, done, err := r.runRemembered(ctx, conn, b, commands); done {
			return outcomes, wrote, err
		}
		b = b.again(commands)
	}
	if err := b.read(ctx, conn, r, commands); err != nil {
		return nil, false, fmt.Errorf("read the batch: %w", err)
	}
	if err := failpoint.Point("ledger.locked"); err != nil {
		return nil, false, err
	}
	outcomes, err := b.decideAll(commands, r.decide)
	if err != nil {
		return nil, false, err
	}
	if b.empty() {
		// Not ROLLBACK: the lock of the accounts is a change, so that this COMMIT waits, like all
		// others, for the synchronous standby. What the batch has read may not be there yet: its
		// own COMMIT may have been canceled while it waited, which leaves it committed here alone.
		if _, err := conn.Exec(ctx, `COMMIT`); err != nil {
			return nil, false, fmt.Errorf("end the batch: %w", err)
		}
		r.remembered.put(b)
		return outcomes, false, nil
	}
	if err := failpoint.Point("ledger.before_commit"); err != nil {
		return nil, false, err
	}
	if err := b.write(ctx, conn); err != nil {
		return outcomes, true, fmt.Errorf("write the batch: %w", err)
	}
	r.remembered.put(b)
	if err := failpoint.Point("ledger.after_commit"); err != nil {
		return nil, true, err
	}
	return outcomes, true, nil
}
