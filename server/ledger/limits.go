package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/problem"
)

// A spending limit restricts the transfers that name it: those of one API key. The limits that
// users set on their own wallets are in walletlimits.go.
//
//	transfer, authorize, withdraw, reverse ─► counted in full, when it is decided
//	capture of less, void, expiry, bank rejects ─► the rest is given back to that day
//
// The batch locks the limit after the accounts, reads what was spent, and writes it in the same
// transaction, so that all committers of all processes see one number. A batch without a limited
// command reads and writes nothing of this.

// CurrencyLimit is what a limit allows in one currency.
type CurrencyLimit struct {
	Currency       money.Currency
	MaxPerTransfer int64 // minor units; 0: no maximum
	MaxPerDay      int64 // minor units, for a day in UTC; 0: no maximum
}

// SpendingLimit is what a key may spend: in its currencies only.
type SpendingLimit struct {
	ID         uuid.UUID
	Owner      UserID
	Currencies []CurrencyLimit // at least one, each once
	Payees     []UserID        // at most 100; empty: any payee, and withdrawals
}

// String describes a limit to people, without the names of the payees, which the ledger does not
// know. It is empty for nil.
func (s *SpendingLimit) String() string {
	if s == nil {
		return ""
	}
	var parts []string
	for _, c := range s.Currencies {
		parts = append(parts, c.String())
	}
	if len(s.Payees) > 0 {
		parts = append(parts, fmt.Sprintf("to %d named users only", len(s.Payees)))
	}
	return strings.Join(parts, "; ")
}

const insertLimit = `INSERT INTO spending_limits (limit_id, currency, owner, max_per_transfer, max_per_day, payees)
	VALUES ($1, $2, $3, NULLIF($4::bigint, 0), NULLIF($5::bigint, 0), NULLIF($6::uuid[], '{}'))`

// AddLimit stores a limit, which never changes.
func (l *Ledger) AddLimit(ctx context.Context, limit SpendingLimit) error {
	return pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		payees := make([][16]byte, len(limit.Payees))
		for i, payee := range limit.Payees {
			payees[i] = payee
		}
		for _, c := range limit.Currencies {
			if _, err := tx.Exec(ctx, insertLimit, limit.ID, c.Currency, limit.Owner, c.MaxPerTransfer, c.MaxPerDay, payees); err != nil {
				return fmt.Errorf("store a spending limit: %w", err)
			}
		}
		return nil
	})
}

// LimitStatus is a limit and what was spent under it today.
type LimitStatus struct {
	SpendingLimit
	SpentToday []int64   // by currency, in the order of Currencies
	Renews     time.Time // the end of the day, in UTC
}

const readLimits = `SELECT l.limit_id, l.currency, COALESCE(l.max_per_transfer, 0), COALESCE(l.max_per_day, 0),
		COALESCE(l.payees, '{}'), COALESCE(s.spent, 0), ((clock_timestamp() AT TIME ZONE 'UTC')::date + 1)::timestamp AT TIME ZONE 'UTC'
	FROM spending_limits l
	LEFT JOIN limit_spending s ON s.limit_id = l.limit_id AND s.currency = l.currency
		AND s.day = (clock_timestamp() AT TIME ZONE 'UTC')::date
	WHERE l.limit_id = ANY($1) ORDER BY l.limit_id, l.currency`

// Limits returns the limits with these ids that exist, and what was spent today.
func (l *Ledger) Limits(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]LimitStatus, error) {
	raw := make([][16]byte, len(ids))
	for i, id := range ids {
		raw[i] = id
	}
	rows, err := l.pool.Query(ctx, readLimits, raw)
	if err != nil {
		return nil, unavailable("read the spending limits", err)
	}
	found := make(map[uuid.UUID]LimitStatus)
	var (
		id     uuid.UUID
		c      CurrencyLimit
		payees [][16]byte
		spent  int64
		renews time.Time
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &c.Currency, &c.MaxPerTransfer, &c.MaxPerDay, &payees, &spent, &renews}, func() error {
		status := found[id]
		status.ID, status.Renews = id, renews.UTC()
		status.Currencies, status.SpentToday = append(status.Currencies, c), append(status.SpentToday, spent)
		status.Payees = nil
		for _, payee := range payees {
			status.Payees = append(status.Payees, UserID(payee))
		}
		found[id] = status
		return nil
	})
	if err != nil {
		return nil, unavailable("read the spending limits", err)
	}
	return found, nil
}

// countedAs is the limit that an earlier transfer counts against, and its day.
type countedAs struct {
	limit uuid.UUID
	day   time.Time
}

const findCounted = `SELECT limit_id, day FROM limited_transfers WHERE transfer_id = $1`

// resolveLimit finds the limit to which the end of the target may give back. It never changes, so
// it may be read outside the batch.
func (l *Ledger) resolveLimit(ctx context.Context, c *command) error {
	err := l.pool.QueryRow(ctx, findCounted, c.target).Scan(&c.counted.limit, &c.counted.day)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return unavailable("find the limit of the transfer", err)
	}
	return nil
}

const (
	// In the order of their keys, and after the accounts: two batches with a common limit wait for
	// each other and never deadlock.
	lockLimits   = selectLimits + ` FOR NO KEY UPDATE`
	selectLimits = `SELECT limit_id, currency, COALESCE(max_per_transfer, 0), COALESCE(max_per_day, 0), COALESCE(payees, '{}')
		FROM spending_limits WHERE limit_id = ANY($1) ORDER BY limit_id, currency`
	readSpending = `SELECT s.limit_id, s.currency, s.day, s.spent FROM unnest($1::uuid[]) AS l (id)
		CROSS JOIN LATERAL (SELECT * FROM limit_spending x WHERE x.limit_id = l.id
			AND (x.day >= (clock_timestamp() AT TIME ZONE 'UTC')::date - 1 OR x.day = ANY($2::date[])) OFFSET 0) s`
	writeSpending = `INSERT INTO limit_spending (limit_id, currency, day, spent)
		SELECT * FROM unnest($1::uuid[], $2::text[], $3::date[], $4::bigint[]) AS n (limit_id, currency, day, spent)
		ORDER BY limit_id, currency, day
		ON CONFLICT (limit_id, currency, day) DO UPDATE SET spent = excluded.spent`
	insertLimited = `INSERT INTO limited_transfers (transfer_id, limit_id, day)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::date[])`
)

// limitsToLoad names the limits that a batch locks.
type limitsToLoad struct {
	ids  [][16]byte
	days []time.Time // of earlier transfers, to which something may be given back
}

func (load *limitsToLoad) add(c *command) {
	for _, id := range [...]uuid.UUID{c.limit, c.counted.limit} {
		if id != uuid.Nil && !slices.Contains(load.ids, [16]byte(id)) {
			load.ids = append(load.ids, id)
		}
	}
	if c.counted.limit != uuid.Nil {
		load.days = append(load.days, c.counted.day)
	}
}

// queueLimits reads limits with lockLimits, or for a preview with selectLimits.
func (b *batch) queueLimits(queue *pgx.Batch, read string, load limitsToLoad) {
	if len(load.ids) == 0 {
		return
	}
	if load.days == nil {
		load.days = []time.Time{}
	}
	queue.Queue(read, load.ids).Query(b.scanLimits)
	queue.Queue(readSpending, load.ids, load.days).Query(b.scanSpending)
}

// limitBook is what a batch knows and writes of spending limits. It is empty in most batches.
type limitBook struct {
	limits   map[limitKey]*lockedLimit
	spending dailySpending[spendingKey]
	counted  []countedTransfer
}

type limitKey struct {
	id       uuid.UUID
	currency money.Currency
}

type lockedLimit struct {
	CurrencyLimit
	payees []UserID
}

type spendingKey struct {
	limitKey
	day time.Time // midnight, UTC
}

type countedTransfer struct {
	transfer, limit uuid.UUID
	day             time.Time
}

func (b *batch) scanLimits(rows pgx.Rows) error {
	b.limitBook.limits = make(map[limitKey]*lockedLimit)
	var (
		id     uuid.UUID
		payees [][16]byte
		c      CurrencyLimit
	)
	_, err := pgx.ForEachRow(rows, []any{&id, &c.Currency, &c.MaxPerTransfer, &c.MaxPerDay, &payees}, func() error {
		limit := &lockedLimit{CurrencyLimit: c}
		for _, payee := range payees {
			limit.payees = append(limit.payees, UserID(payee))
		}
		b.limitBook.limits[limitKey{id, c.Currency}] = limit
		return nil
	})
	return err
}

func (b *batch) scanSpending(rows pgx.Rows) error {
	var (
		key   spendingKey
		spent int64
	)
	_, err := pgx.ForEachRow(rows, []any{&key.id, &key.currency, &key.day, &spent}, func() error {
		key.day = key.day.UTC()
		b.limitBook.spending.load(key, spent)
		return nil
	})
	return err
}

// spend counts a new transfer against the limit of its command and the limit of the wallet that it
// debits, or refuses it. It is the last check of a transfer. It returns nil if the transfer is
// allowed.
func (b *batch) spend(c *command, t *Transfer) *outcome {
	wallet := b.walletLimits.limits[t.DebitAccount]
	if c.limit == uuid.Nil && wallet == nil {
		return nil
	}
	day := b.today()
	key := spendingKey{limitKey{c.limit, t.Amount.Currency}, day}
	why := ""
	if c.limit != uuid.Nil {
		why = b.whyBeyondLimit(key, t)
	}
	if why == "" && wallet != nil {
		why = b.whyBeyondWalletLimit(wallet, t)
	}
	if why != "" {
		o := b.refuse(t, LimitExceeded)
		if refusal, ok := errors.AsType[*Refusal](o.err); ok {
			refusal.problem.Message = why
		}
		return &o
	}
	if c.limit != uuid.Nil {
		b.limitBook.spending.add(key, t.Amount.Minor)
		b.limitBook.counted = append(b.limitBook.counted, countedTransfer{t.ID, c.limit, day})
	}
	if wallet != nil {
		b.countInWallet(t)
	}
	return nil
}

// today is the day in UTC, by the database's clock.
func (b *batch) today() time.Time { return b.now.UTC().Truncate(24 * time.Hour) }

// whyBeyondLimit returns why a limit does not allow a transfer, or "".
func (b *batch) whyBeyondLimit(key spendingKey, t *Transfer) string {
	limit, amount := b.limitBook.limits[key.limitKey], t.Amount.Minor
	left := int64(0)
	if limit != nil {
		left = max(limit.MaxPerDay-b.limitBook.spending.spent[key], 0)
	}
	show := func(minor int64) string { return money.Amount{Minor: minor, Currency: t.Amount.Currency}.String() }
	switch {
	case limit == nil:
		return fmt.Sprintf("the limits of the API key allow no %s", t.Amount.Currency)
	case len(limit.payees) > 0 && !slices.Contains(limit.payees, b.accounts[t.CreditAccount].owner):
		return "the limits of the API key do not allow this payee"
	case limit.MaxPerTransfer > 0 && amount > limit.MaxPerTransfer:
		return fmt.Sprintf("the limits of the API key allow at most %s for one transfer", show(limit.MaxPerTransfer))
	case limit.MaxPerDay > 0 && amount > left:
		return fmt.Sprintf("the limits of the API key allow %s a day (UTC), of which %s is left until %s",
			show(limit.MaxPerDay), show(left), key.day.AddDate(0, 0, 1).Format(time.RFC3339))
	}
	return ""
}

// giveBack gives an amount back to the limits that the target of a command counts against.
func (b *batch) giveBack(c *command, amount int64) {
	if amount == 0 {
		return
	}
	if c.counted.limit != uuid.Nil {
		b.limitBook.spending.add(spendingKey{limitKey{c.counted.limit, c.amount.Currency}, c.counted.day.UTC()}, -amount)
	}
	if in, counted := b.walletLimits.earlier[c.target]; counted {
		b.walletLimits.spending.add(in, -amount)
	}
}

func (b *batch) writeLimits(queue *pgx.Batch) {
	book := &b.limitBook
	if len(book.spending.changed) > 0 {
		var (
			ids        [][16]byte
			currencies []string
			days       []time.Time
			spent      []int64
		)
		for key := range book.spending.changed {
			ids, currencies = append(ids, key.id), append(currencies, string(key.currency))
			days, spent = append(days, key.day), append(spent, book.spending.spent[key])
		}
		queue.Queue(writeSpending, ids, currencies, days, spent)
	}
	if len(book.counted) > 0 {
		var (
			transfers, limits [][16]byte
			days              []time.Time
		)
		for _, t := range book.counted {
			transfers, limits, days = append(transfers, t.transfer), append(limits, t.limit), append(days, t.day)
		}
		queue.Queue(insertLimited, transfers, limits, days)
	}
}

// dailySpending is what a batch knows, and has changed, of what was spent on days. The zero value
// is empty.
type dailySpending[Key comparable] struct {
	spent   map[Key]int64
	changed map[Key]bool
}

func (s *dailySpending[Key]) load(key Key, spent int64) {
	if s.spent == nil {
		s.spent = make(map[Key]int64)
	}
	s.spent[key] = spent
}

func (s *dailySpending[Key]) add(key Key, amount int64) {
	s.load(key, s.spent[key]+amount)
	if s.changed == nil {
		s.changed = make(map[Key]bool)
	}
	s.changed[key] = true
}

// restore undoes the changes since spent was before. A number that is back at its old value is
// written all the same, unless it had none.
func (s *dailySpending[Key]) restore(before map[Key]int64) {
	for key := range s.spent {
		spent, known := before[key]
		if !known {
			delete(s.spent, key)
			delete(s.changed, key)
			continue
		}
		s.spent[key] = spent
	}
}

// limitCheckpoint is what an atomic group may change of a limitBook.
type limitCheckpoint struct {
	spent   map[spendingKey]int64
	counted int
}

func (book *limitBook) checkpoint() limitCheckpoint {
	return limitCheckpoint{maps.Clone(book.spending.spent), len(book.counted)}
}

func (book *limitBook) restore(p limitCheckpoint) {
	book.spending.restore(p.spent)
	book.counted = book.counted[:p.counted]
}

// errLimitsNeedCurrency is for callers that build a limit.
var errLimitsNeedCurrency = problem.New(CurrencyUnknown, "a limit names at least one currency")

// Check fails with CurrencyUnknown or AmountOutOfRange if the limit cannot be stored.
func (s SpendingLimit) Check() error {
	if len(s.Currencies) == 0 {
		return errLimitsNeedCurrency
	}
	seen := make(map[money.Currency]bool)
	for _, c := range s.Currencies {
		if !c.Currency.Known() || seen[c.Currency] {
			return problem.New(CurrencyUnknown, "a limit must name known currencies, each once")
		}
		seen[c.Currency] = true
		for _, maximum := range [...]int64{c.MaxPerTransfer, c.MaxPerDay} {
			if maximum < 0 || maximum > money.Max {
				return problem.Errorf(AmountOutOfRange, "a limit must be from 1 to %d minor units", money.Max)
			}
		}
	}
	if len(s.Payees) > 100 {
		return problem.New(AmountOutOfRange, "a limit names at most 100 payees")
	}
	return nil
}
