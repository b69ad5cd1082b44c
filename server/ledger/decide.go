package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/problem"
)

// batch is the state of one batch: the rows that it has locked or remembered, and what it has
// decided to write. Deciding reads and changes nothing else.
type batch struct {
	clock    clockReading // after the locks were taken
	now      time.Time    // the database's time: that of clock, or computed from an earlier one
	epoch    int          // of rememberedAccounts, when the batch began
	accounts map[AccountID]*account
	byKey    map[ownerKey]*Transfer
	byID     map[uuid.UUID]*Transfer
	payments map[uuid.UUID]*payment

	// ownPostings is set while commands are decided whose transfers are posted at once. Their
	// postings and events are written into the row of the transfer, those of other commands into
	// the tables postings and events.
	ownPostings bool

	limitBook    limitBook       // spending limits of API keys, if a command has one
	walletLimits walletLimitBook // spending limits of users, if an account has one

	// What the batch writes.
	inserted        []newRow
	updated         []*Transfer // may contain a transfer more than once
	postings        []posting
	events          []event
	newPayments     []*payment
	settledPayments []*payment
}

type ownerKey struct {
	owner UserID
	key   string
}

// newRow is a transfer that the batch inserts. If it is posted at once, its two postings are part
// of the row.
type newRow struct {
	transfer      *Transfer
	debit, credit lastPosting
}

func (r *newRow) ownPostings() bool { return r.debit.seq != 0 }

type posting struct {
	account      AccountID
	seq          int64
	transfer     uuid.UUID
	amount       int64
	balanceAfter int64
	at           time.Time
}

type event struct {
	transfer Transfer // in the state that this event is about
	at       time.Time
}

// outcome of one command, or of an atomic group.
type outcome struct {
	result Result
	err    error
	group  []outcome // of the commands of an atomic group; nil with err if it was not decided
}

func refused(t *Transfer, replayed bool) outcome {
	code := problem.Code(t.Reason)
	return outcome{err: &Refusal{
		Transfer: *t, Replayed: replayed,
		problem: problem.Error{Code: code, Message: refusalText(code)},
	}}
}

func keyReused() *problem.Error {
	return problem.New(KeyReused, "this idempotency key was used for something else: take a new one for a new transfer")
}

func answer(t *Transfer, replayed bool) outcome {
	if t.State == Refused {
		return refused(t, replayed)
	}
	return outcome{result: Result{Transfer: *t, Replayed: replayed}}
}

// decidePanic is a panic in the rules of this file. Only the command that caused it fails; the
// ledger keeps running.
type decidePanic struct{ cause any }

func (d *decidePanic) Error() string { return fmt.Sprintf("panic while deciding: %v", d.cause) }

func (b *batch) decideAll(commands []*command, decide func(*batch, *command) outcome) (_ []outcome, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &decidePanic{cause}
		}
	}()
	// Transfers that are posted at once come first: they are inserted, and a trigger adds their
	// postings to the balances, before the other changes of an account are written.
	outcomes := make([]outcome, len(commands))
	for _, b.ownPostings = range [...]bool{true, false} {
		for i, c := range commands {
			if c.postsAtOnce() == b.ownPostings {
				outcomes[i] = decide(b, c)
			}
		}
	}
	return outcomes, nil
}

// postsAtOnce reports whether every transfer that the command inserts is posted or refused at once.
func (c *command) postsAtOnce() bool {
	switch c.op {
	case opTransfer, opReverse, opBookToSuspense:
		return true
	case opAtomicGroup:
		return !slices.ContainsFunc(c.group, func(part *command) bool { return !part.postsAtOnce() })
	default:
		return false
	}
}

// decide executes one command on the state of the batch. Since a batch that is retried is decided
// again, it changes nothing of the command but its list of ids.
func (b *batch) decide(c *command) outcome {
	if c.key != "" {
		if earlier, ok := b.byKey[ownerKey{c.owner, c.key}]; ok {
			return b.replay(c, earlier)
		}
	}
	switch c.op {
	case opAtomicGroup:
		return outcome{group: b.decideAtomically(c.group)}
	case opTransfer:
		return b.transfer(c)
	case opAuthorize, opWithdraw:
		return b.openHold(c)
	case opDeposit:
		return b.openDeposit(c)
	case opCapture:
		return b.capture(c)
	case opVoid:
		return b.void(c)
	case opReverse:
		return b.reverse(c)
	case opSettle:
		return b.settle(c)
	case opBookToSuspense:
		return b.bookToSuspense(c)
	default:
		return b.expire(c)
	}
}

// replay answers a command whose key was used before. The key is checked before anything else:
// funds and permissions of today do not change the answer.
func (b *batch) replay(c *command, earlier *Transfer) outcome {
	if earlier.fingerprint != c.fingerprint {
		return outcome{err: keyReused()}
	}
	// The command gave it the id if an earlier attempt of the command was committed and its answer
	// was lost.
	replayed := !slices.Contains(c.ids, earlier.ID)
	if earlier.State != Refused && (c.op == opCapture || c.op == opVoid) {
		return answer(b.byID[c.target], replayed)
	}
	return answer(earlier, replayed)
}

func (b *batch) transfer(c *command) outcome {
	t := b.insert(c, KindTransfer, c.debit, c.credit)
	debit, credit := b.accounts[c.debit], b.accounts[c.credit]
	if code := b.validate(debit, credit, c.amount.Minor); code != "" {
		return b.refuse(t, code)
	}
	if beyond := b.spend(c, t); beyond != nil {
		return *beyond
	}
	b.post(t, debit, credit, c.amount.Minor)
	return answer(t, false)
}

// openHold opens an authorization or a withdrawal.
func (b *batch) openHold(c *command) outcome {
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
	t := b.insert(c, kind, c.debit, c.credit)
	t.ExpiresAt = expiresAt
	debit, credit := b.accounts[c.debit], b.accounts[c.credit]
	if code := b.validate(debit, credit, c.amount.Minor); code != "" {
		return b.refuse(t, code)
	}
	if kind == KindAuthorization && !b.now.Before(expiresAt) {
		return b.refuse(t, AuthorizationExpired)
	}
	if beyond := b.spend(c, t); beyond != nil {
		return *beyond
	}
	debit.held += c.amount.Minor
	debit.changed = true
	b.addEvent(t)
	if kind == KindWithdrawal {
		b.newPayments = append(b.newPayments, newPayment(t, c.trace))
	}
	return answer(t, false)
}

func (b *batch) openDeposit(c *command) outcome {
	t := b.insert(c, KindDeposit, c.debit, c.credit)
	if code := b.validate(b.accounts[c.debit], b.accounts[c.credit], c.amount.Minor); code != "" {
		return b.refuse(t, code)
	}
	b.addEvent(t)
	b.newPayments = append(b.newPayments, newPayment(t, c.trace))
	return answer(t, false)
}

func (b *batch) capture(c *command) outcome {
	t := b.byID[c.target]
	amount := c.amount.Minor
	if amount == 0 {
		amount = t.Amount.Minor
	}
	row := b.insertFollowUp(c, kindCapture, t, amount)
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
	b.giveBack(c, t.Amount.Minor-amount)
	b.releaseHold(t)
	b.post(t, debit, credit, amount)
	row.State, row.PostedAmount, row.ResolvedAt = Posted, amount, b.now
	b.updated = append(b.updated, t)
	return answer(t, false)
}

func (b *batch) void(c *command) outcome {
	t := b.byID[c.target]
	row := b.insertFollowUp(c, kindVoid, t, t.Amount.Minor)
	if b.expired(t) {
		return b.refuseFollowUp(row, AuthorizationExpired)
	}
	if t.Kind != KindAuthorization || t.State != Pending {
		return b.refuseFollowUp(row, TransferNotPending)
	}
	b.voidPending(t, ReasonVoided)
	b.giveBack(c, t.Amount.Minor)
	row.State, row.Reason, row.ResolvedAt = Voided, ReasonVoided, b.now
	return answer(t, false)
}

// expired reports whether an authorization has reached its expiry, whether or not ExpireDue has
// voided it yet: the answer to a follow-up must not depend on that.
func (b *batch) expired(t *Transfer) bool {
	if t.Kind != KindAuthorization {
		return false
	}
	return t.State == Voided && t.Reason == ReasonExpired || t.State == Pending && !b.now.Before(t.ExpiresAt)
}

func (b *batch) expire(c *command) outcome {
	t := b.byID[c.target]
	if c.maybeCommitted && t.State == Voided && t.Reason == ReasonExpired {
		return answer(t, false)
	}
	if t.State != Pending || t.ExpiresAt.IsZero() || b.now.Before(t.ExpiresAt) {
		return outcome{err: problem.New(TransferNotPending, "the transfer is not due to expire")}
	}
	b.voidPending(t, ReasonExpired)
	b.giveBack(c, t.Amount.Minor)
	return answer(t, false)
}

func (b *batch) reverse(c *command) outcome {
	target := b.byID[c.target]
	left := target.PostedAmount - target.ReversedAmount
	amount := c.amount.Minor
	if amount == 0 {
		amount = max(left, 1) // the refused row needs a positive amount even if nothing is left
	}
	row := b.insert(c, KindReversal, target.CreditAccount, target.DebitAccount)
	row.Target, row.Amount.Minor = target.ID, amount
	if (target.Kind != KindTransfer && target.Kind != KindAuthorization) || target.State != Posted {
		return b.refuse(row, TransferNotReversible)
	}
	if amount > left {
		return b.refuse(row, ReversalExceedsTransfer)
	}
	debit, credit := b.accounts[row.DebitAccount], b.accounts[row.CreditAccount]
	if code := b.validate(debit, credit, amount); code != "" {
		return b.refuse(row, code)
	}
	if beyond := b.spend(c, row); beyond != nil {
		return *beyond
	}
	b.post(row, debit, credit, amount)
	target.ReversedAmount += amount
	b.updated = append(b.updated, target)
	return answer(row, false)
}

// settle ends a bank transfer with the outcome at the bank. The fence is compared with that of
// the locked payment, so that a worker whose lease was taken over changes nothing.
func (b *batch) settle(c *command) outcome {
	t, p := b.byID[c.target], b.payments[c.target]
	if p == nil {
		return outcome{err: problem.New(TransferNotFound, "the transfer has no payment")}
	}
	if p.fence != c.settle.Fence {
		return outcome{err: problem.New(Fenced, "another worker has taken the payment over")}
	}
	if t.State != Pending {
		if (t.State == Posted) == c.settle.Executed {
			return answer(t, !c.maybeCommitted)
		}
		return outcome{err: problem.New(SettlementConflicts, "the payment was settled before, with the other outcome")}
	}
	debit, credit := b.accounts[t.DebitAccount], b.accounts[t.CreditAccount]
	switch {
	case !c.settle.Executed:
		b.voidPending(t, ReasonBankRejected)
		b.giveBack(c, t.Amount.Minor)
		p.state = PaymentRejected
	case !credit.fits(t.Amount.Minor) || !debit.fits(-t.Amount.Minor):
		return outcome{err: problem.New(BalanceLimit, "the account cannot hold that much")}
	default:
		b.releaseHold(t)
		b.post(t, debit, credit, t.Amount.Minor)
		b.updated = append(b.updated, t)
		p.state = PaymentExecuted
	}
	p.bankRef, p.note = c.settle.BankRef, c.settle.Note
	b.settledPayments = append(b.settledPayments, p)
	return answer(t, false)
}

// validate returns why a new transfer is refused, or "".
func (b *batch) validate(debit, credit *account, amount int64) problem.Code {
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

// insert adds the row of a new transfer, which is pending until the rules change its state. Its id
// begins with its time.
func (b *batch) insert(c *command, kind Kind, debit, credit AccountID) *Transfer {
	t := &Transfer{
		ID: newTransferID(b.postingTime(debit, credit)), Kind: kind, State: Pending, DebitAccount: debit, CreditAccount: credit,
		Amount: c.amount, Owner: c.owner, Key: c.key, Memo: c.memo, Tags: c.tags, ExpiresAt: c.expiresAt,
		CreatedAt: b.now, fingerprint: c.fingerprint,
	}
	c.ids = append(c.ids, t.ID)
	b.inserted = append(b.inserted, newRow{transfer: t})
	b.byKey[ownerKey{c.owner, c.key}] = t
	b.byID[t.ID] = t
	return t
}

func (b *batch) insertFollowUp(c *command, kind Kind, target *Transfer, amount int64) *Transfer {
	row := b.insert(c, kind, target.DebitAccount, target.CreditAccount)
	row.Target, row.Amount.Minor = target.ID, amount
	return row
}

func (b *batch) refuse(t *Transfer, code problem.Code) outcome {
	t.State, t.Reason, t.ResolvedAt = Refused, string(code), b.now
	b.addEvent(t)
	o := refused(t, false)
	if refusal, ok := o.err.(*Refusal); ok && code == AccountFrozen { //nolint:errorlint // refused has made it
		refusal.problem.Message = frozenText(t.Owner, b.accounts[t.DebitAccount], b.accounts[t.CreditAccount])
	}
	return o
}

// refuseFollowUp writes no event, since the state of the target has not changed.
func (b *batch) refuseFollowUp(row *Transfer, code problem.Code) outcome {
	row.State, row.Reason, row.ResolvedAt = Refused, string(code), b.now
	return refused(row, false)
}

// releaseHold releases the hold of a pending transfer, if it has one.
func (b *batch) releaseHold(t *Transfer) {
	if !t.holds() {
		return
	}
	debit := b.accounts[t.DebitAccount]
	debit.held -= t.Amount.Minor
	debit.changed = true
}

// voidPending voids a pending transfer.
func (b *batch) voidPending(t *Transfer, reason string) {
	b.releaseHold(t)
	t.State, t.Reason, t.ResolvedAt = Voided, reason, b.now
	b.updated = append(b.updated, t)
	b.addEvent(t)
}

// post moves amount from debit to credit and sets t to posted. If the postings belong into the row
// of t, t is the transfer that was inserted last.
func (b *batch) post(t *Transfer, debit, credit *account, amount int64) {
	at := b.postingTime(debit.id, credit.id)
	from, to := debit.post(-amount, at), credit.post(amount, at)
	t.State, t.PostedAmount, t.ResolvedAt = Posted, amount, at
	if b.ownPostings {
		row := &b.inserted[len(b.inserted)-1]
		row.debit, row.credit = from, to
		return
	}
	debit.changed, credit.changed = true, true
	b.postings = append(b.postings,
		posting{debit.id, from.seq, t.ID, -amount, from.balance, at},
		posting{credit.id, to.seq, t.ID, amount, to.balance, at})
	b.addEvent(t)
}

// postingTime returns the time of the next posting on both accounts. It is after that of every
// earlier posting on them, even if the clock has stepped back or has not advanced.
func (b *batch) postingTime(debit, credit AccountID) time.Time {
	at := b.now
	for _, id := range [...]AccountID{debit, credit} {
		if a := b.accounts[id]; a != nil && !at.After(a.asOf) {
			at = a.asOf.Add(time.Microsecond)
		}
	}
	return at
}

// post adds a posting to the balance.
func (a *account) post(amount int64, at time.Time) lastPosting {
	a.balance += amount
	a.seq++
	a.asOf = at
	return lastPosting{a.seq, a.balance}
}

// addEvent appends the event of the current state of t.
func (b *batch) addEvent(t *Transfer) {
	at := b.now
	if !t.ResolvedAt.IsZero() {
		at = t.ResolvedAt
	}
	b.events = append(b.events, event{*t, at})
}
