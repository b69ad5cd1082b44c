package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/problem"
)

// A user may limit what leaves a wallet of his own, whatever session or API key asks for it. It
// counts like the limit of a key (limits.go), and both hold.
//
//	lower ────────► in effect at once
//	higher, none ─► in effect after LimitDelay, until then the earlier maximum
//
// So a person with a stolen session cannot spend more than the limit for that long. All that counts
// debits the wallet, so the lock of its account, which each batch takes, protects the limit, what
// was spent, and the change of the limit. A batch without a limited wallet reads nothing of this.

// LimitDelay is how long a higher limit waits. The database enforces it too
// (migrations/0015_wallet_limits.sql).
const LimitDelay = 24 * time.Hour

// WalletLimit is a limit that a user has set on his own wallet, and what was spent today.
type WalletLimit struct {
	CurrencyLimit                // in effect; both maxima are 0 if there is no limit
	Next          *CurrencyLimit // what is in effect from NextAt on; nil if no change was asked for
	NextAt        time.Time      // in UTC
	SpentToday    int64          // minor units; only what was spent while there was a limit
	Renews        time.Time      // the end of the day, in UTC
}

// isNone reports whether a limit allows everything.
func (c CurrencyLimit) isNone() bool { return c.MaxPerTransfer == 0 && c.MaxPerDay == 0 }

// lower returns the stricter of two maxima, of which 0 is none.
func lower(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// atMost reports whether limit c allows nothing that other does not allow.
func (c CurrencyLimit) atMost(other CurrencyLimit) bool {
	return lower(c.MaxPerTransfer, other.MaxPerTransfer) == c.MaxPerTransfer && lower(c.MaxPerDay, other.MaxPerDay) == c.MaxPerDay
}

const (
	lockWallet = `SELECT id, clock_timestamp() FROM accounts WHERE owner = $1 AND currency = $2 FOR NO KEY UPDATE`
	// The maxima that are in effect at $2 come first.
	selectWalletLimits = `SELECT account_id,
			COALESCE(CASE WHEN next_at <= $2 THEN next_per_transfer ELSE max_per_transfer END, 0),
			COALESCE(CASE WHEN next_at <= $2 THEN next_per_day ELSE max_per_day END, 0),
			COALESCE(next_per_transfer, 0), COALESCE(next_per_day, 0), CASE WHEN next_at > $2 THEN next_at END
		FROM wallet_limits WHERE account_id = ANY($1)`
	insertWalletLimit = `INSERT INTO wallet_limits (account_id, max_per_transfer, max_per_day, next_per_transfer, next_per_day, next_at)
		VALUES ($1, NULLIF($2::bigint, 0), NULLIF($3::bigint, 0), NULLIF($4::bigint, 0), NULLIF($5::bigint, 0), $6)`
	updateWalletLimit = `UPDATE wallet_limits SET max_per_transfer = NULLIF($2::bigint, 0), max_per_day = NULLIF($3::bigint, 0),
		next_per_transfer = NULLIF($4::bigint, 0), next_per_day = NULLIF($5::bigint, 0), next_at = $6 WHERE account_id = $1`
)

// RecordChange stores that a limit has changed, in the transaction that changes it, or refuses the
// change by an error. limit is text for people; raised says that a higher limit is to follow.
type RecordChange func(ctx context.Context, tx pgx.Tx, limit string, raised bool) error

// SetWalletLimit sets the limit of the owner's wallet in want.Currency; without a maximum, it
// removes the limit. What is lower than the limit in effect takes effect at once, and what is
// higher after LimitDelay. A second request for the same change, or for less, does not extend that.
// It fails with WalletNotFound or AmountOutOfRange. record, unless it is nil, is called in the
// transaction of a change, with what the limit is now; not if nothing changes.
func (l *Ledger) SetWalletLimit(ctx context.Context, owner UserID, want CurrencyLimit, record RecordChange) (WalletLimit, error) {
	if err := (SpendingLimit{Currencies: []CurrencyLimit{want}}).Check(); err != nil {
		return WalletLimit{}, err
	}
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error { return changeWalletLimit(ctx, tx, owner, want, record) })
	if _, known := errors.AsType[*problem.Error](err); err != nil && !known {
		err = unavailable("set the limit", err)
	}
	if err != nil {
		return WalletLimit{}, err
	}
	limits, err := l.WalletLimits(ctx, owner)
	if err != nil {
		return WalletLimit{}, err
	}
	for _, limit := range limits {
		if limit.Currency == want.Currency {
			return limit, nil
		}
	}
	return WalletLimit{}, problem.Errorf(WalletNotFound, "you have no %s wallet", want.Currency)
}

func changeWalletLimit(ctx context.Context, tx pgx.Tx, owner UserID, want CurrencyLimit, record RecordChange) error {
	var (
		id  AccountID
		now time.Time
	)
	err := tx.QueryRow(ctx, lockWallet, owner, want.Currency).Scan((*int64)(&id), &now)
	if errors.Is(err, pgx.ErrNoRows) {
		return problem.Errorf(WalletNotFound, "you have no %s wallet", want.Currency)
	}
	if err != nil {
		return unavailable("lock the wallet", err)
	}
	rows, err := tx.Query(ctx, selectWalletLimits, rawIDs([]AccountID{id}), now)
	if err != nil {
		return unavailable("read the limit", err)
	}
	limits, err := collectWalletLimits(rows)
	if err != nil {
		return unavailable("read the limit", err)
	}
	before, exists := limits[id]
	if !exists && want.isNone() {
		return nil
	}
	store := insertWalletLimit
	if exists {
		store = updateWalletLimit
	}
	after := before.change(want, now)
	var next CurrencyLimit
	if after.Next != nil {
		next = *after.Next
	}
	if _, err := tx.Exec(ctx, store, int64(id), after.MaxPerTransfer, after.MaxPerDay,
		next.MaxPerTransfer, next.MaxPerDay, orNil(&after.NextAt)); err != nil {
		return unavailable("store the limit", err)
	}
	if record == nil || after.equal(before) {
		return nil
	}
	return record(ctx, tx, after.String(), after.Next != nil)
}

// equal compares the maxima in effect and those that come later. It ignores the currencies, since
// the limits are of one wallet.
func (w WalletLimit) equal(other WalletLimit) bool {
	same := func(a, b CurrencyLimit) bool {
		return a.MaxPerTransfer == b.MaxPerTransfer && a.MaxPerDay == b.MaxPerDay
	}
	if (w.Next == nil) != (other.Next == nil) || !same(w.CurrencyLimit, other.CurrencyLimit) {
		return false
	}
	return w.Next == nil || same(*w.Next, *other.Next) && w.NextAt.Equal(other.NextAt)
}

// String describes a limit and its change to people.
func (w WalletLimit) String() string {
	if w.Next == nil {
		return w.CurrencyLimit.String()
	}
	return fmt.Sprintf("%s; from %s on: %s", w.CurrencyLimit, w.NextAt.UTC().Format("2006-01-02 15:04 UTC"), w.Next)
}

// String describes a limit to people: "at most 50.00 USD per transfer, 500.00 USD a day".
func (c CurrencyLimit) String() string {
	var parts []string
	if c.MaxPerTransfer != 0 {
		parts = append(parts, money.Format(c.MaxPerTransfer, c.Currency)+" per transfer")
	}
	if c.MaxPerDay != 0 {
		parts = append(parts, money.Format(c.MaxPerDay, c.Currency)+" a day")
	}
	if parts == nil {
		return fmt.Sprintf("no limit of %s", c.Currency)
	}
	return "at most " + strings.Join(parts, ", ")
}

// change returns the limit after its owner has asked for another one.
func (w WalletLimit) change(want CurrencyLimit, now time.Time) WalletLimit {
	after := WalletLimit{CurrencyLimit: CurrencyLimit{
		Currency: want.Currency, MaxPerTransfer: lower(w.MaxPerTransfer, want.MaxPerTransfer), MaxPerDay: lower(w.MaxPerDay, want.MaxPerDay),
	}}
	if after.CurrencyLimit == want {
		return after
	}
	after.Next, after.NextAt = &want, now.Add(LimitDelay)
	if w.Next != nil && want.atMost(*w.Next) {
		after.NextAt = w.NextAt
	}
	return after
}

func collectWalletLimits(rows pgx.Rows) (map[AccountID]WalletLimit, error) {
	found := make(map[AccountID]WalletLimit)
	var (
		id     AccountID
		now    CurrencyLimit
		next   CurrencyLimit
		nextAt *time.Time
	)
	_, err := pgx.ForEachRow(rows, []any{(*int64)(&id), &now.MaxPerTransfer, &now.MaxPerDay, &next.MaxPerTransfer, &next.MaxPerDay, &nextAt}, func() error {
		limit := WalletLimit{CurrencyLimit: now}
		if nextAt != nil {
			change := next
			limit.Next, limit.NextAt = &change, nextAt.UTC()
		}
		found[id] = limit
		return nil
	})
	return found, err
}

// WalletLimits returns a limit for each wallet of the owner, by currency. A wallet without a limit
// has one without maxima.
func (l *Ledger) WalletLimits(ctx context.Context, owner UserID) ([]WalletLimit, error) {
	const find = `SELECT a.currency, t.now,
			COALESCE(CASE WHEN l.next_at <= t.now THEN l.next_per_transfer ELSE l.max_per_transfer END, 0),
			COALESCE(CASE WHEN l.next_at <= t.now THEN l.next_per_day ELSE l.max_per_day END, 0),
			COALESCE(l.next_per_transfer, 0), COALESCE(l.next_per_day, 0), CASE WHEN l.next_at > t.now THEN l.next_at END,
			COALESCE(s.spent, 0)
		FROM (SELECT clock_timestamp() AS now OFFSET 0) t
		CROSS JOIN accounts a
		LEFT JOIN wallet_limits l ON l.account_id = a.id
		LEFT JOIN wallet_spending s ON s.account_id = l.account_id AND s.day = (t.now AT TIME ZONE 'UTC')::date
		WHERE a.owner = $1 ORDER BY a.currency`
	rows, err := l.pool.Query(ctx, find, owner)
	if err != nil {
		return nil, unavailable("read the limits", err)
	}
	limits, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (limit WalletLimit, err error) {
		var (
			next   CurrencyLimit
			now    time.Time
			nextAt *time.Time
		)
		err = row.Scan(&limit.Currency, &now, &limit.MaxPerTransfer, &limit.MaxPerDay, &next.MaxPerTransfer, &next.MaxPerDay, &nextAt, &limit.SpentToday)
		if nextAt != nil {
			next.Currency = limit.Currency
			limit.Next, limit.NextAt = &next, nextAt.UTC()
		}
		limit.Renews = now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
		return limit, err
	})
	if err != nil {
		return nil, unavailable("read the limits", err)
	}
	return limits, nil
}

// walletLimitBook is what a batch knows and writes of the limits of wallets. It is empty in most
// batches.
type walletLimitBook struct {
	limits   map[AccountID]*CurrencyLimit // in effect
	spending dailySpending[walletDay]
	earlier  map[uuid.UUID]walletDay // the targets that count
	counted  []countedInWallet
}

type walletDay struct {
	account AccountID
	day     time.Time // midnight, UTC
}

type countedInWallet struct {
	transfer uuid.UUID
	in       walletDay
}

const (
	readCounted = `SELECT transfer_id, account_id, day FROM wallet_limited_transfers WHERE transfer_id = ANY($1)`
	// Those of today, and of the days on which the targets were counted.
	readWalletSpending = `SELECT account_id, day, spent FROM wallet_spending WHERE account_id = ANY($1)
		AND day = ANY (array_append(ARRAY(SELECT day FROM wallet_limited_transfers WHERE transfer_id = ANY($2)), $3::date))`
	writeWalletSpending = `INSERT INTO wallet_spending (account_id, day, spent)
		SELECT * FROM unnest($1::bigint[], $2::date[], $3::bigint[]) AS n (account_id, day, spent)
		ON CONFLICT (account_id, day) DO UPDATE SET spent = excluded.spent`
	insertCountedInWallet = `INSERT INTO wallet_limited_transfers (transfer_id, account_id, day)
		SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::date[])`
)

type batchSender interface {
	SendBatch(ctx context.Context, queue *pgx.Batch) pgx.BatchResults
}

// readWalletLimits reads the limits of the limited accounts that the batch has locked, and which of
// the targets count.
func (b *batch) readWalletLimits(ctx context.Context, conn batchSender, targets [][16]byte) error {
	var limited []int64
	for id, a := range b.accounts {
		if a.limited {
			limited = append(limited, int64(id))
		}
	}
	if limited == nil {
		return nil
	}
	if targets == nil {
		targets = [][16]byte{}
	}
	var queue pgx.Batch
	queue.Queue(selectWalletLimits, limited, b.now).Query(b.scanWalletLimits)
	queue.Queue(readCounted, targets).Query(b.scanCounted)
	queue.Queue(readWalletSpending, limited, targets, b.today()).Query(b.scanWalletSpending)
	return conn.SendBatch(ctx, &queue).Close()
}

func (b *batch) scanWalletLimits(rows pgx.Rows) error {
	found, err := collectWalletLimits(rows)
	b.walletLimits.limits = make(map[AccountID]*CurrencyLimit, len(found))
	for id, limit := range found {
		if !limit.isNone() {
			b.walletLimits.limits[id] = &limit.CurrencyLimit
		}
	}
	return err
}

func (b *batch) scanCounted(rows pgx.Rows) error {
	b.walletLimits.earlier = make(map[uuid.UUID]walletDay)
	var (
		transfer uuid.UUID
		in       walletDay
	)
	_, err := pgx.ForEachRow(rows, []any{&transfer, (*int64)(&in.account), &in.day}, func() error {
		in.day = in.day.UTC()
		b.walletLimits.earlier[transfer] = in
		return nil
	})
	return err
}

func (b *batch) scanWalletSpending(rows pgx.Rows) error {
	var (
		in    walletDay
		spent int64
	)
	_, err := pgx.ForEachRow(rows, []any{(*int64)(&in.account), &in.day, &spent}, func() error {
		in.day = in.day.UTC()
		b.walletLimits.spending.load(in, spent)
		return nil
	})
	return err
}

// whyBeyondWalletLimit returns why the limit of a wallet does not allow a transfer, or "".
func (b *batch) whyBeyondWalletLimit(limit *CurrencyLimit, t *Transfer) string {
	in := walletDay{t.DebitAccount, b.today()}
	left := max(limit.MaxPerDay-b.walletLimits.spending.spent[in], 0)
	show := func(minor int64) string { return money.Amount{Minor: minor, Currency: t.Amount.Currency}.String() }
	switch amount := t.Amount.Minor; {
	case limit.MaxPerTransfer > 0 && amount > limit.MaxPerTransfer:
		return fmt.Sprintf("your own limit allows at most %s for one transfer", show(limit.MaxPerTransfer))
	case limit.MaxPerDay > 0 && amount > left:
		return fmt.Sprintf("your own limit allows %s a day (UTC), of which %s is left until %s",
			show(limit.MaxPerDay), show(left), in.day.AddDate(0, 0, 1).Format(time.RFC3339))
	}
	return ""
}

// countInWallet counts a new transfer against the limit of the wallet that it debits.
func (b *batch) countInWallet(t *Transfer) {
	in := walletDay{t.DebitAccount, b.today()}
	b.walletLimits.spending.add(in, t.Amount.Minor)
	b.walletLimits.counted = append(b.walletLimits.counted, countedInWallet{t.ID, in})
}

func (b *batch) writeWalletLimits(queue *pgx.Batch) {
	book := &b.walletLimits
	if n := len(book.spending.changed); n > 0 {
		accounts, days, spent := make([]int64, 0, n), make([]time.Time, 0, n), make([]int64, 0, n)
		for in := range book.spending.changed {
			accounts, days = append(accounts, int64(in.account)), append(days, in.day)
			spent = append(spent, book.spending.spent[in])
		}
		queue.Queue(writeWalletSpending, accounts, days, spent)
	}
	if n := len(book.counted); n > 0 {
		transfers, accounts, days := make([][16]byte, n), make([]int64, n), make([]time.Time, n)
		for i, t := range book.counted {
			transfers[i], accounts[i], days[i] = t.transfer, int64(t.in.account), t.in.day
		}
		queue.Queue(insertCountedInWallet, transfers, accounts, days)
	}
}

// walletLimitCheckpoint is what an atomic group may change of a walletLimitBook.
type walletLimitCheckpoint struct {
	spent   map[walletDay]int64
	counted int
}

func (book *walletLimitBook) checkpoint() walletLimitCheckpoint {
	return walletLimitCheckpoint{maps.Clone(book.spending.spent), len(book.counted)}
}

func (book *walletLimitBook) restore(p walletLimitCheckpoint) {
	book.spending.restore(p.spent)
	book.counted = book.counted[:p.counted]
}
