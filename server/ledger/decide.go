package ledger

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/problem"
)

// book is what a batch knows: the rows under its locks, and what it has decided
// to write. Deciding reads and changes nothing else.
type book struct {
	now      time.Time // the database's clock, read after the locks were taken
	accounts map[int64]*account
	byKey    map[ownerKey]*Transfer
	byID     map[uuid.UUID]*Transfer
	payments map[uuid.UUID]*payment

	added   []*Transfer // to insert
	moved   []*Transfer // were pending or posted before: to update
	posted  []posting
	events  []event
	opened  []*payment
	settled []*payment
}

type ownerKey struct {
	owner uuid.UUID
	key   string
}

type posting struct {
	account      int64
	seq          int64
	transfer     uuid.UUID
	amount       int64
	balanceAfter int64
	at           time.Time
}

type event struct {
	transfer Transfer // as it stood at this event
	at       time.Time
}

// outcome of one command.
type outcome struct {
	result Result
	err    error
}

func refused(t *Transfer, replayed bool) outcome {
	code := problem.Code(t.Reason)
	return outcome{err: &Refusal{
		Transfer: *t, Replayed: replayed,
		problem: problem.Error{Code: code, Message: refusalText(code)},
	}}
}

func done(t *Transfer, replayed bool) outcome {
	if t.State == Refused {
		return refused(t, replayed)
	}
	return outcome{result: Result{Transfer: *t, Replayed: replayed}}
}

// defect is a panic of the rule book: its command fails, alone, and the ledger
// lives on.
type defect struct{ cause any }

func (d *defect) Error() string { return fmt.Sprintf("defect while deciding: %v", d.cause) }

func (b *book) decideAll(commands []*command, decide func(*book, *command) outcome) (_ []outcome, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &defect{cause}
		}
	}()
	outcomes := make([]outcome, len(commands))
	for i, c := range commands {
		outcomes[i] = decide(b, c)
	}
	return outcomes, nil
}

// decide carries out one command on the book. It leaves the command as it is: a
// batch that is tried again is decided anew.
func (b *book) decide(c *command) outcome {
	if c.key != "" {
		if earlier, ok := b.byKey[ownerKey{c.owner, c.key}]; ok {
			return b.replay(c, earlier)
		}
	}
	switch c.op {
	case opTransfer:
		return b.transfer(c)
	case opAuthorize, opWithdraw:
		return b.hold(c)
	case opDeposit:
		return b.deposit(c)
	case opPost:
		return b.post(c)
	case opVoid:
		return b.void(c)
	case opReverse:
		return b.reverse(c)
	case opSettle:
		return b.settle(c)
	case opSuspend:
		return b.suspend(c)
	default:
		return b.expire(c)
	}
}

// replay answers a key that has been used. It is compared before anything else
// is looked at: what the caller may do today is no part of the question.
func (b *book) replay(c *command, earlier *Transfer) outcome {
	if earlier.fingerprint != c.asked {
		return outcome{err: problem.New(KeyReused, "this idempotency key was used for something else: take a new one for a new transfer")}
	}
	// The id is the command's own when an earlier try of this very command had
	// committed without our hearing of it.
	replayed := earlier.ID != c.id
	if earlier.State != Refused && (c.op == opPost || c.op == opVoid) {
		return done(b.byID[c.target], replayed)
	}
	return done(earlier, replayed)
}

func (b *book) transfer(c *command) outcome {
	t := b.open(c, KindTransfer, c.debit, c.credit)
	debit, credit := b.accounts[c.debit], b.accounts[c.credit]
	if code := b.objection(debit, credit, c.amount.Minor); code != "" {
		return b.refuse(t, code)
	}
	b.move(t, debit, credit, c.amount.Minor)
	return done(t, false)
}

// hold opens an authorization or a withdrawal.
func (b *book) hold(c *command) outcome {
	kind := KindAuthorization
	if c.op == opWithdraw {
		kind = KindWithdrawal
	}
	expiresAt := c.expiresAt
	switch {
	case kind != KindAuthorization:
	case expiresAt.IsZero():
		expiresAt = b.now.Add(DefaultAuthorization)
	case expiresAt.After(b.now.Add(MaxAuthorization)):
		return outcome{err: problem.Errorf(ExpiryOutOfRange, "an authorization expires within %d days from now", int(MaxAuthorization.Hours())/24)}
	}
	t := b.open(c, kind, c.debit, c.credit)
	t.ExpiresAt = expiresAt
	debit, credit := b.accounts[c.debit], b.accounts[c.credit]
	if code := b.objection(debit, credit, c.amount.Minor); code != "" {
		return b.refuse(t, code)
	}
	if kind == KindAuthorization && !b.now.Before(expiresAt) {
		return b.refuse(t, AuthorizationExpired)
	}
	debit.held += c.amount.Minor
	debit.changed = true
	b.note(t)
	if kind == KindWithdrawal {
		b.opened = append(b.opened, newPayment(t, c.trace))
	}
	return done(t, false)
}

func (b *book) deposit(c *command) outcome {
	t := b.open(c, KindDeposit, c.debit, c.credit)
	if code := b.objection(b.accounts[c.debit], b.accounts[c.credit], c.amount.Minor); code != "" {
		return b.refuse(t, code)
	}
	b.note(t)
	b.opened = append(b.opened, newPayment(t, c.trace))
	return done(t, false)
}

func (b *book) post(c *command) outcome {
	t := b.byID[c.target]
	amount := c.amount.Minor
	if amount == 0 {
		amount = t.Amount.Minor
	}
	row := b.openFollowUp(c, kindCapture, t, amount)
	debit, credit := b.accounts[t.DebitAccount], b.accounts[t.CreditAccount]
	switch {
	case b.expired(t):
		return b.refuseFollowUp(row, AuthorizationExpired)
	case t.Kind != KindAuthorization || t.State != Pending:
		return b.refuseFollowUp(row, TransferNotPending)
	case amount > t.Amount.Minor:
		return b.refuseFollowUp(row, CaptureExceedsHold)
	case !credit.fits(amount):
		return b.refuseFollowUp(row, BalanceLimit)
	}
	b.release(t)
	b.move(t, debit, credit, amount)
	row.State, row.PostedAmount, row.ResolvedAt = Posted, amount, b.now
	b.moved = append(b.moved, t)
	return done(t, false)
}

func (b *book) void(c *command) outcome {
	t := b.byID[c.target]
	row := b.openFollowUp(c, kindVoid, t, t.Amount.Minor)
	if b.expired(t) {
		return b.refuseFollowUp(row, AuthorizationExpired)
	}
	if t.Kind != KindAuthorization || t.State != Pending {
		return b.refuseFollowUp(row, TransferNotPending)
	}
	b.end(t, ReasonVoided)
	row.State, row.Reason, row.ResolvedAt = Voided, ReasonVoided, b.now
	return done(t, false)
}

// expired tells whether an authorization has ended by its own time, whether or not ExpireDue
// has come by: the answer to a follow-up must not depend on that.
func (b *book) expired(t *Transfer) bool {
	if t.Kind != KindAuthorization {
		return false
	}
	return t.State == Voided && t.Reason == ReasonExpired || t.State == Pending && !b.now.Before(t.ExpiresAt)
}

func (b *book) expire(c *command) outcome {
	t := b.byID[c.target]
	if c.unsure && t.State == Voided && t.Reason == ReasonExpired {
		return done(t, false)
	}
	if t.State != Pending || t.ExpiresAt.IsZero() || b.now.Before(t.ExpiresAt) {
		return outcome{err: problem.New(TransferNotPending, "the transfer is not due to expire")}
	}
	b.end(t, ReasonExpired)
	return done(t, false)
}

func (b *book) reverse(c *command) outcome {
	original := b.byID[c.target]
	left := original.PostedAmount - original.ReversedAmount
	amount := c.amount.Minor
	if amount == 0 {
		amount = max(left, 1) // a row has an amount even where nothing is left
	}
	row := b.open(c, KindReversal, original.CreditAccount, original.DebitAccount)
	row.Target, row.Amount.Minor = original.ID, amount
	if (original.Kind != KindTransfer && original.Kind != KindAuthorization) || original.State != Posted {
		return b.refuse(row, TransferNotReversible)
	}
	if amount > left {
		return b.refuse(row, ReversalExceedsTransfer)
	}
	debit, credit := b.accounts[row.DebitAccount], b.accounts[row.CreditAccount]
	if code := b.objection(debit, credit, amount); code != "" {
		return b.refuse(row, code)
	}
	b.move(row, debit, credit, amount)
	original.ReversedAmount += amount
	b.moved = append(b.moved, original)
	return done(row, false)
}

// settle carries out the bank's word. The fence is compared with the row under
// its lock, so that a worker whose lease was taken over changes nothing.
func (b *book) settle(c *command) outcome {
	t, p := b.byID[c.target], b.payments[c.target]
	if p == nil {
		return outcome{err: problem.New(TransferNotFound, "the transfer has no payment")}
	}
	if p.fence != c.settle.Fence {
		return outcome{err: problem.New(Fenced, "another worker has taken the payment over")}
	}
	if t.State != Pending {
		if (t.State == Posted) == c.settle.Executed {
			return done(t, !c.unsure)
		}
		return outcome{err: problem.New(SettlementConflicts, "the payment is settled already, and the other way")}
	}
	debit, credit := b.accounts[t.DebitAccount], b.accounts[t.CreditAccount]
	switch {
	case !c.settle.Executed:
		b.end(t, ReasonBankRejected)
		p.state = PaymentRejected
	case !credit.fits(t.Amount.Minor) || !debit.fits(-t.Amount.Minor):
		return outcome{err: problem.New(BalanceLimit, "the account cannot hold that much")}
	default:
		b.release(t)
		b.move(t, debit, credit, t.Amount.Minor)
		b.moved = append(b.moved, t)
		p.state = PaymentExecuted
	}
	p.bankRef, p.note = c.settle.BankRef, c.settle.Note
	b.settled = append(b.settled, p)
	return done(t, false)
}

// objection is why a new transfer cannot be, or "".
func (b *book) objection(debit, credit *account, amount int64) problem.Code {
	switch {
	case credit == nil:
		return PayeeWalletMissing
	case debit.status == Frozen || credit.status == Frozen:
		return AccountFrozen
	case !credit.fits(amount) || !debit.fits(-amount):
		return BalanceLimit
	case !debit.covers(amount):
		return InsufficientFunds
	}
	return ""
}

// open makes the row of a new transfer, pending until something is decided.
func (b *book) open(c *command, kind Kind, debit, credit int64) *Transfer {
	t := &Transfer{
		ID: c.id, Kind: kind, State: Pending, DebitAccount: debit, CreditAccount: credit,
		Amount: c.amount, Owner: c.owner, Key: c.key, Memo: c.memo, ExpiresAt: c.expiresAt,
		CreatedAt: b.now, fingerprint: c.asked,
	}
	b.added = append(b.added, t)
	b.byKey[ownerKey{c.owner, c.key}] = t
	b.byID[t.ID] = t
	return t
}

func (b *book) openFollowUp(c *command, kind Kind, about *Transfer, amount int64) *Transfer {
	row := b.open(c, kind, about.DebitAccount, about.CreditAccount)
	row.Target, row.Amount.Minor = about.ID, amount
	return row
}

func (b *book) refuse(t *Transfer, code problem.Code) outcome {
	t.State, t.Reason, t.ResolvedAt = Refused, string(code), b.now
	b.note(t)
	return refused(t, false)
}

// refuseFollowUp leaves no event: nothing happened to the transfer it is about.
func (b *book) refuseFollowUp(row *Transfer, code problem.Code) outcome {
	row.State, row.Reason, row.ResolvedAt = Refused, string(code), b.now
	return refused(row, false)
}

// release gives the hold of a pending transfer back, if it has one.
func (b *book) release(t *Transfer) {
	if !t.holds() {
		return
	}
	debit := b.accounts[t.DebitAccount]
	debit.held -= t.Amount.Minor
	debit.changed = true
}

// end voids a pending transfer.
func (b *book) end(t *Transfer, reason string) {
	b.release(t)
	t.State, t.Reason, t.ResolvedAt = Voided, reason, b.now
	b.moved = append(b.moved, t)
	b.note(t)
}

// move posts amount from debit to credit and makes t posted.
func (b *book) move(t *Transfer, debit, credit *account, amount int64) {
	// One time for both lines, before neither account's last line, whatever the
	// clock did meanwhile.
	at := latest(b.now, debit.asOf, credit.asOf)
	b.line(t, debit, -amount, at)
	b.line(t, credit, amount, at)
	t.State, t.PostedAmount, t.ResolvedAt = Posted, amount, at
	b.note(t)
}

func (b *book) line(t *Transfer, a *account, amount int64, at time.Time) {
	a.balance += amount
	a.seq++
	a.asOf = at
	a.changed = true
	b.posted = append(b.posted, posting{a.id, a.seq, t.ID, amount, a.balance, at})
}

// note appends the event of the state that t has just taken.
func (b *book) note(t *Transfer) {
	at := b.now
	if !t.ResolvedAt.IsZero() {
		at = t.ResolvedAt
	}
	b.events = append(b.events, event{*t, at})
}

func latest(times ...time.Time) time.Time {
	last := times[0]
	for _, t := range times[1:] {
		if t.After(last) {
			last = t
		}
	}
	return last
}

func refusalText(code problem.Code) string {
	switch code {
	case InsufficientFunds:
		return "the wallet does not hold that much that is free to spend"
	case AccountFrozen:
		return "one of the two wallets is frozen"
	case BalanceLimit:
		return "the receiving wallet cannot hold that much"
	case PayeeWalletMissing:
		return "the payee has no wallet in this currency"
	case AuthorizationExpired:
		return "the authorization has expired"
	case TransferNotPending:
		return "the transfer is not an open authorization"
	case TransferNotReversible:
		return "only a posted transfer between wallets can be reversed"
	case CaptureExceedsHold:
		return "that is more than the authorization holds"
	case ReversalExceedsTransfer:
		return "that is more than is left of the transfer"
	default:
		return "the transfer was refused"
	}
}
