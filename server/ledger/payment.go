package ledger

import (
	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/trace"
)

// PaymentState is the state of the payment of a deposit or withdrawal.
// migrations/0002_settlement.sql draws the transitions.
type PaymentState string

// The states of a payment.
const (
	PaymentPending     PaymentState = "pending"
	PaymentUnknown     PaymentState = "unknown"
	PaymentExecuted    PaymentState = "executed"
	PaymentRejected    PaymentState = "rejected"
	PaymentNeedsReview PaymentState = "needs_review"
)

// payment holds the columns of a payments row that the ledger writes: it inserts the row with the
// transfer, and settles it with the postings. In between, server/settle updates the row.
type payment struct {
	transfer uuid.UUID
	kind     Kind
	amount   int64
	currency string
	fence    int64
	state    PaymentState
	bankRef  string
	note     string
	trace    string // traceparent of the request
}

func newPayment(t *Transfer, request trace.Context) *payment {
	return &payment{
		transfer: t.ID, kind: t.Kind, amount: t.Amount.Minor, currency: string(t.Amount.Currency),
		state: PaymentPending, trace: request.String(),
	}
}

// externalRef returns the reference of the payment at the bank. It is the id of the transfer, which
// is unique, and it is stored before the bank is called.
func (p *payment) externalRef() string { return p.transfer.String() }
