package notices

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/ids"
	"github.com/JDevAman/kizo/server/ledger"
)

// LargeAmount is the amount in minor units above which a payment is large, of a user who has set no
// threshold for a step-up in its currency: 1000.00 USD, or 100,000 JPY. A threshold that the user
// has set takes its place.
const LargeAmount = 100_000

// Bounds of the watcher.
const (
	watchPage     = 2000             // events of one transaction
	watchInterval = time.Second      // between two looks when there is nothing new
	watchRest     = 9                // after a full page it rests this many times as long as that took
	watchTimeout  = 30 * time.Second // of one page
	maxPerDay     = 20               // notices of one kind about payments, for one user in 24 hours
	idSlack       = time.Minute      // how far ids and the clock of the database may be apart
)

// Watcher makes the notices about payments: the first one to each payee, and large ones. It follows
// the events of the ledger, so it adds nothing to a payment, and a payment does not wait for it.
// Any number of watchers may run: each page of events is processed once, in one transaction that
// moves the cursor from the position at which the page was read.
type Watcher struct {
	pool   *pgxpool.Pool
	ledger *ledger.Ledger
	log    *slog.Logger
}

// NewWatcher creates a watcher; Run starts it.
func NewWatcher(pool *pgxpool.Pool, l *ledger.Ledger, log *slog.Logger) *Watcher {
	return &Watcher{pool, l, log}
}

// Run processes events until ctx ends. While there are many, it works a tenth of the time, so that
// it takes at most a tenth of a CPU of PostgreSQL from the payments; notices are later then. The
// error is always nil.
func (w *Watcher) Run(ctx context.Context) error {
	for {
		began, pause := time.Now(), watchInterval
		more, err := w.RunOnce(ctx)
		if err != nil && ctx.Err() == nil {
			w.log.Warn("notices about payments are late", "error", err)
		}
		if more && err == nil {
			pause = min(watchRest*time.Since(began), 10*time.Second)
		}
		next := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			next.Stop()
			return nil
		case <-next.C:
		}
	}
}

const (
	sqlCursor = `SELECT coalesce(position, ''), coalesce(began_at, 'epoch') FROM notice_cursor`

	sqlBegin = `UPDATE notice_cursor SET position = $1, began_at = clock_timestamp() WHERE position IS NULL`

	sqlMoveCursor = `UPDATE notice_cursor SET position = $2 WHERE position = $1`

	sqlKnownPayees = `
SELECT k.payer_id, k.payee_id
  FROM unnest($1::uuid[], $2::uuid[]) AS p (payer, payee)
  JOIN known_payees k ON k.payer_id = p.payer AND k.payee_id = p.payee`

	sqlAddPayees = `
INSERT INTO known_payees (payer_id, payee_id)
SELECT payer, payee FROM unnest($1::uuid[], $2::uuid[]) AS p (payer, payee)
ON CONFLICT DO NOTHING`

	sqlThresholds = `SELECT user_id, currency, amount FROM step_up_thresholds WHERE user_id = ANY($1)`

	// Of each user and kind, the first notices of a day (24 hours) are added, and the others not.
	sqlAddPayments = `
INSERT INTO notices (user_id, source, kind, at, transfer_id, amount, currency, payee_id, mail_due)
SELECT u.id, n.kind || ' ' || n.transfer, n.kind, n.at, n.transfer, n.amount, n.currency,
       nullif(n.payee, '00000000-0000-0000-0000-000000000000'), u.email_verified_at IS NOT NULL
  FROM (SELECT p.*, row_number() OVER (PARTITION BY p.payer, p.kind ORDER BY p.position) AS place
          FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::uuid[], $5::bigint[], $6::text[], $7::uuid[])
               WITH ORDINALITY AS p (payer, kind, at, transfer, amount, currency, payee, position)) n
  JOIN users u ON u.id = n.payer AND u.status <> 'closed'
 WHERE n.place + (SELECT count(*) FROM notices o WHERE o.user_id = n.payer AND o.kind = n.kind AND o.at > n.at - interval '1 day') <= $8
 ORDER BY n.position
ON CONFLICT (user_id, source) DO NOTHING`
)

// RunOnce processes a page of events, and reports whether there may be more.
func (w *Watcher) RunOnce(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	var (
		cursor string
		began  time.Time
	)
	if err := w.pool.QueryRow(ctx, sqlCursor).Scan(&cursor, &began); err != nil {
		return false, fmt.Errorf("read the cursor of notices: %w", err)
	}
	if cursor == "" {
		return true, w.begin(ctx)
	}
	after, err := ledger.ParsePosition(cursor)
	if err != nil {
		return false, fmt.Errorf("read the cursor of notices: %w", err)
	}
	events, next, err := w.ledger.EventsAfter(ctx, after, watchPage)
	if err != nil || len(events) == 0 {
		return false, err
	}
	payments := paymentsOf(events)
	found, err := w.judge(ctx, payments, began)
	if err != nil {
		return false, err
	}
	moved, err := w.store(ctx, cursor, next.String(), found)
	return moved && len(events) == watchPage, err
}

// begin starts at the present: what was paid before is no news.
func (w *Watcher) begin(ctx context.Context) error {
	now, err := w.ledger.Horizon(ctx)
	if err == nil {
		_, err = w.pool.Exec(ctx, sqlBegin, now.String())
	}
	if err != nil {
		return fmt.Errorf("begin the cursor of notices: %w", err)
	}
	return nil
}

// payment is a transfer that takes money from a user.
type payment struct {
	payer, payee ids.UserID // payee is zero for the bank
	at           time.Time
	transfer     uuid.UUID
	amount       int64
	currency     string
}

// paymentsOf returns the payments that begin with an event: a posted transfer, or an authorization
// or a withdrawal that is pending. Later events of the same transfers are no news.
func paymentsOf(events []*ledger.Event) (payments []payment) {
	for _, e := range events {
		t := &e.Transfer
		begins := t.Kind == ledger.KindTransfer && t.State == ledger.Posted ||
			(t.Kind == ledger.KindAuthorization || t.Kind == ledger.KindWithdrawal) && t.State == ledger.Pending
		if !begins || e.Debtor.IsZero() || e.Debtor == e.Creditor {
			continue
		}
		payments = append(payments, payment{e.Debtor, e.Creditor, e.At, t.ID, t.Amount.Minor, string(t.Amount.Currency)})
	}
	return payments
}

// findings are what to store about a page of events.
type findings struct {
	payers, payees []ids.UserID // new pairs

	users      []ids.UserID // of the notices, and so on
	kinds      []string
	at         []time.Time
	transfers  [][16]byte
	amounts    []int64
	currencies []string
	to         []ids.UserID
}

func (f *findings) add(kind Kind, p payment) {
	f.users, f.kinds, f.at = append(f.users, p.payer), append(f.kinds, string(kind)), append(f.at, p.at)
	f.transfers, f.amounts = append(f.transfers, p.transfer), append(f.amounts, p.amount)
	f.currencies, f.to = append(f.currencies, p.currency), append(f.to, p.payee)
}

// judge finds which payments are first ones and which are large.
func (w *Watcher) judge(ctx context.Context, payments []payment, began time.Time) (f findings, err error) {
	if len(payments) == 0 {
		return f, nil
	}
	known, err := w.knownPayees(ctx, payments)
	if err != nil {
		return f, err
	}
	var unknown []payment // payments to payees that are not known
	for _, p := range payments {
		pair := ledger.Paid{Payer: p.payer, Payee: p.payee}
		if !p.payee.IsZero() && !known[pair] {
			known[pair] = true
			unknown = append(unknown, p)
			f.payers, f.payees = append(f.payers, p.payer), append(f.payees, p.payee)
		}
	}
	first, err := w.firstPayments(ctx, unknown, f, began)
	if err != nil {
		return f, err
	}
	thresholds, err := w.thresholds(ctx, payments)
	if err != nil {
		return f, err
	}
	for _, p := range payments {
		if first[p.transfer] {
			f.add(FirstPayment, p)
		}
		limit, ok := thresholds[threshold{p.payer, p.currency}]
		if !ok {
			limit = LargeAmount
		}
		if p.amount > limit {
			f.add(LargePayment, p)
		}
	}
	return f, nil
}

func (w *Watcher) knownPayees(ctx context.Context, payments []payment) (map[ledger.Paid]bool, error) {
	var payers, payees []ids.UserID
	for _, p := range payments {
		payers, payees = append(payers, p.payer), append(payees, p.payee)
	}
	rows, err := w.pool.Query(ctx, sqlKnownPayees, payers, payees)
	if err != nil {
		return nil, fmt.Errorf("read the known payees: %w", err)
	}
	known := make(map[ledger.Paid]bool, len(payments))
	var pair ledger.Paid
	if _, err := pgx.ForEachRow(rows, []any{&pair.Payer, &pair.Payee}, func() error { known[pair] = true; return nil }); err != nil {
		return nil, fmt.Errorf("read the known payees: %w", err)
	}
	return known, nil
}

// firstPayments returns the transfers of payments to new payees, without those whose payer had paid
// the payee before the watcher began.
func (w *Watcher) firstPayments(ctx context.Context, payments []payment, f findings, began time.Time) (map[uuid.UUID]bool, error) {
	first := make(map[uuid.UUID]bool, len(payments))
	if len(payments) == 0 {
		return first, nil
	}
	earlier, err := w.ledger.PaidBefore(ctx, f.payers, f.payees, began.Add(-idSlack))
	if err != nil {
		return nil, err
	}
	paid := make(map[ledger.Paid]bool, len(earlier))
	for _, pair := range earlier {
		paid[pair] = true
	}
	for _, p := range payments {
		first[p.transfer] = !paid[ledger.Paid{Payer: p.payer, Payee: p.payee}]
	}
	return first, nil
}

// threshold identifies the threshold of a user.
type threshold struct {
	user     ids.UserID
	currency string
}

func (w *Watcher) thresholds(ctx context.Context, payments []payment) (map[threshold]int64, error) {
	users := make([]ids.UserID, 0, len(payments))
	for _, p := range payments {
		users = append(users, p.payer)
	}
	rows, err := w.pool.Query(ctx, sqlThresholds, users)
	if err != nil {
		return nil, fmt.Errorf("read the thresholds: %w", err)
	}
	found := make(map[threshold]int64)
	var (
		of     threshold
		amount int64
	)
	if _, err := pgx.ForEachRow(rows, []any{&of.user, &of.currency, &amount}, func() error { found[of] = amount; return nil }); err != nil {
		return nil, fmt.Errorf("read the thresholds: %w", err)
	}
	return found, nil
}

var errMoved = errors.New("another watcher has processed the page")

// store adds the notices and moves the cursor, in one transaction. It reports false if another
// watcher has processed the page. The transaction is short, since it delays the streams of events.
func (w *Watcher) store(ctx context.Context, from, to string, f findings) (bool, error) {
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlMoveCursor, from, to)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errMoved
		}
		if len(f.payers) > 0 {
			if _, err := tx.Exec(ctx, sqlAddPayees, f.payers, f.payees); err != nil {
				return err
			}
		}
		if len(f.users) > 0 {
			if _, err := tx.Exec(ctx, sqlAddPayments, f.users, f.kinds, f.at, f.transfers, f.amounts, f.currencies, f.to, maxPerDay); err != nil {
				return err
			}
		}
		return failpoint.Point("notices.stored")
	})
	if errors.Is(err, errMoved) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("store notices about payments: %w", err)
	}
	return true, nil
}
