package ledger

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/problem"
)

// suspense holds what the bank and the books do not agree about.
const suspense accountKind = "suspense"

// KindSuspense is a transfer between clearing and suspense.
const KindSuspense Kind = "suspense"

// Suspension books what the bank did against the books, so that the clearing
// account says what the statement says and the difference stands by itself.
type Suspension struct {
	Ref          string // the bank's reference; together with Cause it is booked once
	Cause        string
	Currency     string
	Amount       int64 // minor units
	IntoClearing bool  // from suspense into clearing, or the other way
}

// BookToSuspense books a difference. Booking the same one again changes nothing.
func (l *Ledger) BookToSuspense(ctx context.Context, s Suspension) (Transfer, error) {
	amount := money.Amount{Minor: s.Amount, Currency: money.Currency(s.Currency)}
	if err := money.Check(amount.Minor, amount.Currency); err != nil {
		return Transfer{}, problem.New(AmountOutOfRange, "the bank's amount cannot be booked")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Transfer{}, fmt.Errorf("make a transfer id: %w", err)
	}
	c := command{
		op: opSuspend, id: id, owner: houseOwner(suspense), key: s.Cause + ":" + s.Ref, amount: amount, memo: s.Ref,
	}
	if c.debit, err = l.houseID(ctx, clearing, amount.Currency); err != nil {
		return Transfer{}, err
	}
	if c.credit, err = l.houseID(ctx, suspense, amount.Currency); err != nil {
		return Transfer{}, err
	}
	if s.IntoClearing {
		c.debit, c.credit = c.credit, c.debit
	}
	c.asked = c.print()
	result, err := l.submit(ctx, &c)
	return result.Transfer, err
}

// suspend moves between two of the house's accounts, which have no floor.
func (b *book) suspend(c *command) outcome {
	t := b.open(c, KindSuspense, c.debit, c.credit)
	debit, credit := b.accounts[c.debit], b.accounts[c.credit]
	if code := b.objection(debit, credit, c.amount.Minor); code != "" {
		return b.refuse(t, code)
	}
	b.move(t, debit, credit, c.amount.Minor)
	return done(t, false)
}
