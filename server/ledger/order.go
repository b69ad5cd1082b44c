package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/problem"
)

// Bounds on what a caller may ask.
const (
	MaxMemo              = 140                 // characters
	MaxKey               = 255                 // bytes
	MaxAuthorization     = 31 * 24 * time.Hour // how far ahead an authorization may expire
	DefaultAuthorization = 7 * 24 * time.Hour  // when it does if nobody says
)

// Order asks for a new transfer. The money leaves or enters the Owner's wallet in
// the amount's currency.
type Order struct {
	Owner     uuid.UUID // who asks
	Key       string    // Owner's idempotency key: one effect at most, for ever
	Payee     uuid.UUID // whose wallet receives; Transfer and Authorize only
	Amount    money.Amount
	Memo      string
	ExpiresAt time.Time     // Authorize only; at most MaxAuthorization ahead, DefaultAuthorization if zero
	Trace     trace.Context // kept with the payment that the order opens, if any; no part of what the key stands for
}

// FollowUp asks for something about an earlier transfer. Whether the owner may
// ask is for the caller to check.
type FollowUp struct {
	Owner  uuid.UUID
	Key    string
	Target uuid.UUID
	Amount int64 // minor units; 0 means all of it
}

// Result is what came of a command.
type Result struct {
	Transfer Transfer
	Replayed bool // the same key had done it before
}

// Settlement is the bank's word on a payment, brought by whoever holds its lease.
type Settlement struct {
	Transfer uuid.UUID
	Fence    int64 // of the claim; a newer claim makes this one powerless
	Executed bool  // false: a definite rejection
	BankRef  string
	Note     string // what the bank said, for operators
}

type operation int

const (
	opTransfer operation = iota + 1
	opAuthorize
	opDeposit
	opWithdraw
	opPost
	opVoid
	opReverse
	opSettle
	opExpire
	opSuspend
)

// command is one line of a batch, whatever asked for it.
type command struct {
	op        operation
	id        uuid.UUID // of the transfer to make; the same through every retry
	owner     uuid.UUID
	key       string
	asked     fingerprint
	debit     int64 // accounts; 0 where the wallet does not exist
	credit    int64
	amount    money.Amount
	payee     uuid.UUID
	target    uuid.UUID
	memo      string
	expiresAt time.Time     // of an authorization; zero: DefaultAuthorization after the database's now
	trace     trace.Context // of the order
	settle    Settlement

	// unsure: an earlier try may have been committed without our hearing of it.
	// What a key cannot tell, Settle and Expire having none, this does.
	unsure bool
}

// Transfer moves money from one wallet to another at once.
//
// Errors wrap a [problem.Error]; the stored ones are a *[Refusal].
func (l *Ledger) Transfer(ctx context.Context, o Order) (Result, error) {
	return l.order(ctx, opTransfer, o)
}

// Authorize reserves money for a payee, who posts all or part of it or voids it;
// at o.ExpiresAt it is voided by itself.
func (l *Ledger) Authorize(ctx context.Context, o Order) (Result, error) {
	return l.order(ctx, opAuthorize, o)
}

// OpenDeposit notes that money is to be fetched from the bank, together with the
// payment that settlement carries out. Nothing moves before the bank says so.
func (l *Ledger) OpenDeposit(ctx context.Context, o Order) (Result, error) {
	return l.order(ctx, opDeposit, o)
}

// OpenWithdrawal reserves money that is to be sent to the bank, together with the
// payment that settlement carries out.
func (l *Ledger) OpenWithdrawal(ctx context.Context, o Order) (Result, error) {
	return l.order(ctx, opWithdraw, o)
}

// Capture moves the money of a pending authorization; what f.Amount leaves over is
// released. The result is the authorization.
func (l *Ledger) Capture(ctx context.Context, f FollowUp) (Result, error) {
	return l.followUp(ctx, opPost, f)
}

// Void releases a pending authorization. The result is the authorization.
func (l *Ledger) Void(ctx context.Context, f FollowUp) (Result, error) {
	f.Amount = 0
	return l.followUp(ctx, opVoid, f)
}

// Reverse sends all or part of a posted transfer back. The result is the new
// transfer. Reversals of one transfer never exceed it together.
func (l *Ledger) Reverse(ctx context.Context, f FollowUp) (Result, error) {
	return l.followUp(ctx, opReverse, f)
}

// Settle ends a deposit or withdrawal as the bank said. Another fence than the
// payment's gives Fenced, whatever has become of it. Settling it the same way again
// changes nothing; another outcome than the stored one gives SettlementConflicts.
func (l *Ledger) Settle(ctx context.Context, s Settlement) (Result, error) {
	if err := failpoint.Point("ledger.settle"); err != nil {
		return Result{}, unavailable("settle", err)
	}
	s.BankRef, s.Note = fitting(s.BankRef, 200), fitting(s.Note, 500)
	c := command{op: opSettle, target: s.Transfer, settle: s}
	if err := l.resolveTarget(ctx, &c); err != nil {
		return Result{}, err
	}
	return l.submit(ctx, &c)
}

// ExpireDue voids at most limit authorizations whose time has come and says how
// many. Those of accounts that another session keeps locked wait for a later call.
func (l *Ledger) ExpireDue(ctx context.Context, limit int) (int, error) {
	const due = `SELECT id FROM transfers
		WHERE state = 'pending' AND expires_at <= clock_timestamp()
			AND debit_account <> ALL($2) AND credit_account <> ALL($2)
		ORDER BY expires_at LIMIT $1`
	if err := failpoint.Point("ledger.expire"); err != nil {
		return 0, err
	}
	rows, err := l.pool.Query(ctx, due, limit, l.intake.lockedAccounts())
	if err != nil {
		return 0, fmt.Errorf("find expired authorizations: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return 0, fmt.Errorf("find expired authorizations: %w", err)
	}
	expired := 0
	var failed error
	for _, id := range ids {
		c := command{op: opExpire, target: id}
		if err := l.resolveTarget(ctx, &c); err != nil {
			return expired, err
		}
		switch _, err := l.submit(ctx, &c); {
		case err == nil:
			expired++
		case errors.Is(err, TransferNotPending): // captured meanwhile
		case errors.Is(err, Internal): // its own fault: the others must not wait for it
			failed = errors.Join(failed, fmt.Errorf("expire %s: %w", id, err))
		case errors.Is(err, errRowLocked):
			failed = errors.Join(failed, fmt.Errorf("expire %s: %w", id, err))
		default:
			return expired, errors.Join(failed, err)
		}
	}
	return expired, failed
}

// fitting makes words from outside fit their column: what the bank says about
// a payment must never be why the payment cannot be settled.
func fitting(s string, characters int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "")
	if utf8.RuneCountInString(s) > characters {
		s = string([]rune(s)[:characters])
	}
	return s
}

func (l *Ledger) order(ctx context.Context, op operation, o Order) (Result, error) {
	c, err := l.prepare(ctx, op, o)
	if err != nil {
		return Result{}, err
	}
	return l.submit(ctx, c)
}

// prepare checks an order and finds its accounts.
func (l *Ledger) prepare(ctx context.Context, op operation, o Order) (*command, error) {
	if err := checkOrder(op, o); err != nil {
		return nil, err
	}
	c := &command{op: op, owner: o.Owner, key: o.Key, amount: o.Amount, memo: o.Memo, trace: o.Trace}
	if op == opAuthorize {
		c.expiresAt = o.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
	own, err := l.walletID(ctx, o.Owner, o.Amount.Currency)
	if err != nil {
		return nil, err
	}
	if own == 0 {
		return nil, problem.Errorf(WalletNotFound, "you have no %s wallet", o.Amount.Currency)
	}
	switch op {
	case opTransfer, opAuthorize:
		c.payee = o.Payee
		c.debit = own
		c.credit, err = l.walletID(ctx, o.Payee, o.Amount.Currency)
	case opDeposit:
		c.credit = own
		c.debit, err = l.houseID(ctx, clearing, o.Amount.Currency)
	default:
		c.debit = own
		c.credit, err = l.houseID(ctx, clearing, o.Amount.Currency)
	}
	if err != nil {
		return nil, err
	}
	c.id, err = uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make a transfer id: %w", err)
	}
	c.asked = c.print()
	return c, nil
}

func (l *Ledger) followUp(ctx context.Context, op operation, f FollowUp) (Result, error) {
	if err := CheckKey(f.Key); err != nil {
		return Result{}, err
	}
	if f.Amount != 0 && (f.Amount < 1 || f.Amount > money.Max) {
		return Result{}, problem.Errorf(AmountOutOfRange, "the amount must be from 1 to %d minor units", money.Max)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Result{}, fmt.Errorf("make a transfer id: %w", err)
	}
	c := command{op: op, id: id, owner: f.Owner, key: f.Key, target: f.Target, amount: money.Amount{Minor: f.Amount}}
	c.asked = c.print()
	if err := l.resolveTarget(ctx, &c); err != nil {
		return Result{}, err
	}
	if c.credit == 0 { // refused for want of the payee's wallet, for good: no row need remember this answer
		code := TransferNotPending
		if op == opReverse {
			code = TransferNotReversible
		}
		return Result{}, problem.New(code, refusalText(code))
	}
	return l.submit(ctx, &c)
}

// resolveTarget finds the accounts and the currency of the transfer that a
// follow-up is about. They never change, so they may be read outside the batch.
func (l *Ledger) resolveTarget(ctx context.Context, c *command) error {
	const find = `SELECT debit_account, COALESCE(credit_account, 0), currency FROM transfers
		WHERE id = $1 AND kind NOT IN ('capture', 'void')`
	err := l.pool.QueryRow(ctx, find, c.target).Scan(&c.debit, &c.credit, &c.amount.Currency)
	if errors.Is(err, pgx.ErrNoRows) {
		return problem.New(TransferNotFound, "there is no such transfer")
	}
	if err != nil {
		return unavailable("find the transfer", err)
	}
	return nil
}

// checkOrder refuses what needs no look at the books. When an authorization expires is
// judged by the rule book, since only the database's clock counts.
func checkOrder(op operation, o Order) error {
	if !o.Amount.Currency.Known() {
		return problem.New(CurrencyUnknown, "that is not an ISO 4217 currency code: type one such as USD, EUR or JPY")
	}
	if o.Amount.Minor < 1 || o.Amount.Minor > money.Max {
		return problem.Errorf(AmountOutOfRange, "the amount must be from 1 to %d minor units", money.Max)
	}
	if err := CheckKey(o.Key); err != nil {
		return err
	}
	if err := CheckMemo(o.Memo); err != nil {
		return err
	}
	if op != opTransfer && op != opAuthorize {
		return nil
	}
	if o.Payee == o.Owner {
		return problem.New(PayeeIsSelf, "that is yourself: name somebody else, or open another wallet and exchange")
	}
	return nil
}

// CheckKey tells whether key can be an idempotency key: 1 to MaxKey visible ASCII
// characters.
func CheckKey(key string) error {
	bad := func(r rune) bool { return r < 0x21 || r > 0x7e }
	if key == "" || len(key) > MaxKey || strings.ContainsFunc(key, bad) {
		return problem.Errorf(KeyMalformed, "an idempotency key is 1 to %d visible ASCII characters, such as a UUID", MaxKey)
	}
	return nil
}

// CheckMemo tells whether memo can be shown safely: at most MaxMemo characters,
// none of them a control, formatting or unassigned one, except joiners where a script
// or an emoji needs them.
func CheckMemo(memo string) error {
	if !utf8.ValidString(memo) || utf8.RuneCountInString(memo) > MaxMemo {
		return problem.Errorf(MemoMalformed, "a memo is at most %d characters of UTF-8 text", MaxMemo)
	}
	if r, bad := text.Unprintable(memo); bad {
		return problem.Errorf(MemoMalformed, "the memo holds a character that cannot be printed (U+%04X): leave it out", r)
	}
	if r, bad := text.MisplacedJoiner(memo); bad {
		return problem.Errorf(MemoMalformed, "the memo holds an invisible character where no script needs it (U+%04X): leave it out", r)
	}
	return nil
}
