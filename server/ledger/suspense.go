package ledger

import (
	"context"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/problem"
)

// suspense is the system account for the differences between the bank and the books.
const suspense accountKind = "suspense"

// KindSuspense is a transfer between clearing and suspense.
const KindSuspense Kind = "suspense"

// SuspenseBooking asks to book a difference between the statement of the bank and the books.
// Afterwards the clearing account agrees with the statement, and suspense holds the difference.
type SuspenseBooking struct {
	Ref          string // reference of the payment at the bank; Ref and Cause together are booked once
	Cause        string
	Currency     string
	Amount       int64 // minor units
	IntoClearing bool  // the direction: from suspense to clearing, or from clearing to suspense
}

// BookToSuspense books a difference. Booking the same difference again changes nothing. It fails
// with KeyReused if the difference was booked with another amount or direction.
func (l *Ledger) BookToSuspense(ctx context.Context, s SuspenseBooking) (Transfer, error) {
	amount := money.Amount{Minor: s.Amount, Currency: money.Currency(s.Currency)}
	if err := money.Check(amount.Minor, amount.Currency); err != nil {
		return Transfer{}, problem.New(AmountOutOfRange, "the bank's amount cannot be booked")
	}
	c := command{
		op: opBookToSuspense, owner: systemOwner(suspense), key: s.Cause + ":" + s.Ref, amount: amount, memo: s.Ref,
	}
	var err error
	if c.debit, err = l.systemAccount(ctx, clearing, amount.Currency); err != nil {
		return Transfer{}, err
	}
	if c.credit, err = l.systemAccount(ctx, suspense, amount.Currency); err != nil {
		return Transfer{}, err
	}
	if s.IntoClearing {
		c.debit, c.credit = c.credit, c.debit
	}
	c.fingerprint = c.computeFingerprint()
	result, err := l.submit(ctx, &c)
	return result.Transfer, err
}

// bookToSuspense posts a transfer between two system accounts, which have no floor.
func (b *batch) bookToSuspense(c *command) outcome {
	t := b.insert(c, KindSuspense, c.debit, c.credit)
	debit, credit := b.accounts[c.debit], b.accounts[c.credit]
	if code := b.validate(debit, credit, c.amount.Minor); code != "" {
		return b.refuse(t, code)
	}
	b.post(t, debit, credit, c.amount.Minor)
	return answer(t, false)
}
