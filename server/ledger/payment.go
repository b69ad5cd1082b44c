package ledger

import (
	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/trace"
)

// PaymentState is where the bank's side of a deposit or withdrawal stands;
// migrations/0002_payments.sql draws the way between them.
type PaymentState string

// The states of a payment.
const (
	PaymentPending     PaymentState = "pending"
	PaymentUnknown     PaymentState = "unknown"
	PaymentExecuted    PaymentState = "executed"
	PaymentRejected    PaymentState = "rejected"
	PaymentNeedsReview PaymentState = "needs_review"
)

// payment is the part of a payments row that the ledger writes: it opens the row
// with the transfer and closes it with the posting. In between the row is
// server/settle's.
type payment struct {
	transfer uuid.UUID
	kind     Kind
	amount   int64
	currency string
	fence    int64
	state    PaymentState
	bankRef  string
	note     string
	trace    string // traceparent of the order
}

func newPayment(t *Transfer, order trace.Context) *payment {
	return &payment{
		transfer: t.ID, kind: t.Kind, amount: t.Amount.Minor, currency: string(t.Amount.Currency),
		state: PaymentPending, trace: order.String(),
	}
}

// externalRef is what the bank knows the payment by. It is the transfer's own id:
// unique by construction, and stored before the bank is ever asked.
func (p *payment) externalRef() string { return p.transfer.String() }
