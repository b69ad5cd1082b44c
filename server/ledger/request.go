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

// Limits of a request.
const (
	MaxMemo              = 140                 // characters
	MaxKey               = 255                 // bytes
	MaxAuthorization     = 31 * 24 * time.Hour // the longest time until an authorization expires
	DefaultAuthorization = 7 * 24 * time.Hour  // the time until it expires if the request has none
)

// TransferRequest asks for a new transfer. The money leaves or enters the Owner's wallet in the
// amount's currency.
type TransferRequest struct {
	Owner     UserID // the user who asks
	Key       string // Owner's idempotency key: it has at most one effect, and never expires
	Payee     UserID // the user who receives; Transfer and Authorize only
	Amount    money.Amount
	Memo      string
	Tags      Tags          // from NewTags
	ExpiresAt time.Time     // Authorize only; at most MaxAuthorization ahead, DefaultAuthorization if zero
	Limit     uuid.UUID     // the spending limit that counts it; zero for none. Not part of the fingerprint.
	Trace     trace.Context // stored with the payment that the request opens; not part of the fingerprint
}

// FollowUp asks to capture, void or reverse an earlier transfer. Only the receiver of the transfer
// may do so. For the sender it fails with Forbidden and a [NotReceiverError], and for every other
// user with TransferNotFound.
type FollowUp struct {
	Owner  UserID
	Key    string
	Target uuid.UUID
	Amount int64     // minor units; 0 means all of it
	Limit  uuid.UUID // the spending limit that counts a reversal; zero for none
}

// Result is the outcome of a command that was executed.
type Result struct {
	Transfer Transfer
	Replayed bool // an earlier command with the same key had this result
}

// Settlement is the outcome of a payment at the bank, reported by the worker that holds the lease.
type Settlement struct {
	Transfer uuid.UUID
	Fence    int64 // fencing token of the claim; Settle fails if a newer claim exists
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
	opCapture
	opVoid
	opReverse
	opSettle
	opExpire
	opBookToSuspense
	opAtomicGroup // all commands of the group take effect, or none does
)

// command is one request to change money, as a batch works on it.
type command struct {
	op          operation
	ids         []uuid.UUID // that attempts to commit the command have given to its transfer
	owner       UserID
	key         string
	fingerprint fingerprint
	debit       AccountID
	credit      AccountID // 0 if the payee has no wallet
	amount      money.Amount
	payee       UserID
	target      uuid.UUID
	memo        string
	tags        Tags
	expiresAt   time.Time     // of an authorization; if zero, DefaultAuthorization after the database's clock
	trace       trace.Context // of the request
	settle      Settlement
	limit       uuid.UUID // the spending limit that counts a new transfer; zero for none
	counted     countedAs // the spending limit that counts the target

	// group holds the commands of an atomic group. The fields above but op are then unused.
	group []*command

	// maybeCommitted is set if an earlier attempt may have been committed although its answer
	// was lost. Settle and Expire have no key that would show that they were executed before.
	maybeCommitted bool
	// lostUnlocked is set if such an attempt had not locked its accounts first, so that it may be
	// executed even after a later attempt has ended.
	lostUnlocked bool
}

// Transfer moves money from one wallet to another immediately.
//
// Errors wrap a [problem.Error]; the stored ones are a *[Refusal].
func (l *Ledger) Transfer(ctx context.Context, r TransferRequest) (Result, error) {
	return l.submitRequest(ctx, opTransfer, r)
}

// Authorize reserves money for a payee, who captures all or part of it or voids it. At
// r.ExpiresAt it expires.
func (l *Ledger) Authorize(ctx context.Context, r TransferRequest) (Result, error) {
	return l.submitRequest(ctx, opAuthorize, r)
}

// OpenDeposit records that money is to be collected from the bank, together with the payment that
// server/settle executes. No money moves before the bank has executed the payment.
func (l *Ledger) OpenDeposit(ctx context.Context, r TransferRequest) (Result, error) {
	return l.submitRequest(ctx, opDeposit, r)
}

// OpenWithdrawal reserves money that is to be sent to the bank, together with the payment that
// server/settle executes.
func (l *Ledger) OpenWithdrawal(ctx context.Context, r TransferRequest) (Result, error) {
	return l.submitRequest(ctx, opWithdraw, r)
}

// Capture moves f.Amount of a pending authorization, or all of it if f.Amount is 0, and releases
// the rest. The result is the authorization.
func (l *Ledger) Capture(ctx context.Context, f FollowUp) (Result, error) {
	return l.followUp(ctx, opCapture, f)
}

// Void releases a pending authorization. The result is the authorization.
func (l *Ledger) Void(ctx context.Context, f FollowUp) (Result, error) {
	f.Amount = 0
	return l.followUp(ctx, opVoid, f)
}

// Reverse sends all or part of a posted transfer back. The result is the new transfer. All
// reversals of one transfer together never exceed it.
func (l *Ledger) Reverse(ctx context.Context, f FollowUp) (Result, error) {
	return l.followUp(ctx, opReverse, f)
}

// Settle ends a deposit or withdrawal with its outcome at the bank. It fails with Fenced if s.Fence
// is not the fencing token of the payment. Settling a payment again with the same outcome changes
// nothing; another outcome than the stored one fails with SettlementConflicts.
func (l *Ledger) Settle(ctx context.Context, s Settlement) (Result, error) {
	if err := failpoint.Point("ledger.settle"); err != nil {
		return Result{}, unavailable("settle", err)
	}
	// The text of a bank fits its column, so that no text can prevent a settlement.
	s.BankRef, s.Note = text.Clean(s.BankRef, 200), text.CleanProse(s.Note, 500)
	c := command{op: opSettle, target: s.Transfer, settle: s}
	if err := l.resolveTarget(ctx, &c); err != nil {
		return Result{}, err
	}
	return l.submit(ctx, &c)
}

// ExpireDue voids at most limit authorizations that have expired and returns how many it voided.
// Authorizations of accounts that another session keeps locked are left to a later call.
func (l *Ledger) ExpireDue(ctx context.Context, limit int) (int, error) {
	const due = `SELECT id FROM transfers
		WHERE state = 'pending' AND expires_at <= clock_timestamp()
			AND debit_account <> ALL($2) AND credit_account <> ALL($2)
		ORDER BY expires_at LIMIT $1`
	if err := failpoint.Point("ledger.expire"); err != nil {
		return 0, err
	}
	rows, err := l.pool.Query(ctx, due, limit, rawIDs(l.queue.lockedAccounts()))
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
		case errors.Is(err, Internal): // only this one failed: the others must not wait for it
			failed = errors.Join(failed, fmt.Errorf("expire %s: %w", id, err))
		case errors.Is(err, errRowLocked):
			failed = errors.Join(failed, fmt.Errorf("expire %s: %w", id, err))
		default:
			return expired, errors.Join(failed, err)
		}
	}
	return expired, failed
}

func (l *Ledger) submitRequest(ctx context.Context, op operation, r TransferRequest) (Result, error) {
	c, err := l.newCommand(ctx, op, r, l.walletID)
	if err != nil {
		return Result{}, err
	}
	return l.submit(ctx, c)
}

// findWallet returns the account of a wallet, or 0 if there is none.
type findWallet func(context.Context, UserID, money.Currency) (AccountID, error)

// newCommand checks a request and finds its accounts.
func (l *Ledger) newCommand(ctx context.Context, op operation, r TransferRequest, walletID findWallet) (*command, error) {
	if err := checkRequest(op, r); err != nil {
		return nil, err
	}
	c := &command{op: op, owner: r.Owner, key: r.Key, amount: r.Amount, memo: r.Memo, tags: r.Tags, trace: r.Trace, limit: r.Limit}
	if op == opAuthorize {
		c.expiresAt = r.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
	own, err := walletID(ctx, r.Owner, r.Amount.Currency)
	if err != nil {
		return nil, err
	}
	if own == 0 {
		return nil, problem.Errorf(WalletNotFound, "you have no %s wallet", r.Amount.Currency)
	}
	switch op {
	case opTransfer, opAuthorize:
		c.payee = r.Payee
		c.debit = own
		c.credit, err = walletID(ctx, r.Payee, r.Amount.Currency)
	case opDeposit:
		c.credit = own
		c.debit, err = l.systemAccount(ctx, clearing, r.Amount.Currency)
	default:
		c.debit = own
		c.credit, err = l.systemAccount(ctx, clearing, r.Amount.Currency)
	}
	if err != nil {
		return nil, err
	}
	c.fingerprint = c.computeFingerprint()
	return c, nil
}

func (l *Ledger) followUp(ctx context.Context, op operation, f FollowUp) (Result, error) {
	if err := CheckKey(f.Key); err != nil {
		return Result{}, err
	}
	target, err := l.findTarget(ctx, f)
	if err != nil {
		return Result{}, err
	}
	if f.Amount != 0 && (f.Amount < 1 || f.Amount > money.Max) {
		return Result{}, problem.Errorf(AmountOutOfRange, "the amount must be from 1 to %d minor units", money.Max)
	}
	c := command{op: op, owner: f.Owner, key: f.Key, target: f.Target, amount: money.Amount{Minor: f.Amount}}
	c.fingerprint = c.computeFingerprint()
	c.debit, c.credit, c.amount.Currency = target.DebitAccount, target.CreditAccount, target.Amount.Currency
	if op == opReverse {
		c.limit = f.Limit
	} else if err := l.resolveLimit(ctx, &c); err != nil {
		return Result{}, err
	}
	return l.submit(ctx, &c)
}

// findTarget returns the target of a follow-up if f.Owner is its receiver. The receiver of a
// transfer never changes, so it may be read outside the batch.
func (l *Ledger) findTarget(ctx context.Context, f FollowUp) (Transfer, error) {
	target, err := l.Find(ctx, f.Owner, f.Target)
	if err != nil {
		return Transfer{}, err
	}
	owners, err := l.Owners(ctx, []AccountID{target.CreditAccount})
	if err != nil {
		return Transfer{}, err
	}
	if receiver := owners[target.CreditAccount]; receiver != f.Owner {
		e := problem.New(Forbidden, "only the receiver of a transfer can capture, void or reverse it")
		e.Cause = &NotReceiverError{Target: target, Receiver: receiver}
		return Transfer{}, e
	}
	return target, nil
}

// resolveTarget finds the accounts and the currency of the target of a command that no user asked
// for. They never change, so they may be read outside the batch.
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
	return l.resolveLimit(ctx, c)
}

// checkRequest checks what needs no data of the books. The expiry of an authorization is checked in
// decide.go, because only the database's clock counts.
func checkRequest(op operation, r TransferRequest) error {
	if !r.Amount.Currency.Known() {
		return problem.New(CurrencyUnknown, "that is not an ISO 4217 currency code: type one such as USD, EUR or JPY")
	}
	if r.Amount.Minor < 1 || r.Amount.Minor > money.Max {
		return problem.Errorf(AmountOutOfRange, "the amount must be from 1 to %d minor units", money.Max)
	}
	if err := CheckKey(r.Key); err != nil {
		return err
	}
	if err := CheckMemo(r.Memo); err != nil {
		return err
	}
	if op != opTransfer && op != opAuthorize {
		return nil
	}
	if r.Payee == r.Owner {
		return problem.New(PayeeIsSelf, "the payee is you: name another user")
	}
	return nil
}

// CheckKey fails with KeyMalformed unless key has 1 to MaxKey visible ASCII characters.
func CheckKey(key string) error {
	bad := func(r rune) bool { return r < 0x21 || r > 0x7e }
	if key == "" || len(key) > MaxKey || strings.ContainsFunc(key, bad) {
		return problem.Errorf(KeyMalformed, "an idempotency key is 1 to %d visible ASCII characters, such as a UUID", MaxKey)
	}
	return nil
}

// CheckMemo fails with MemoMalformed unless memo can be displayed safely: it has at most MaxMemo
// characters, none of them a control, formatting or unassigned one, except joiners where a script
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
