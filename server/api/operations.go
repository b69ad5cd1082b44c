package api

import (
	"context"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// Operations is what operators can look at and do beyond the ledger. The API knows
// neither the queue nor the bank: whoever assembles it brings this. Errors are
// made with Refuse, so that they have a code.
type Operations interface {
	Queues() ([]Queue, error)
	PauseQueue(queue string, pause bool) error
	Tasks(queue, state string, limit int) ([]Task, error)
	ActOnTask(queue, task, action string) error

	Payments(ctx context.Context, state, cursor string, limit int) (PaymentList, error)
	Payment(ctx context.Context, transfer uuid.UUID) (Payment, error)
	Resolve(ctx context.Context, transfer uuid.UUID, outcome string) (Payment, error)
	Reconcile(ctx context.Context) (Reconciliation, error)

	// Explain tells all that happened to a transfer. people gives the users that a sentence may name, with
	// their handles.
	Explain(ctx context.Context, t ledger.Transfer, people func(context.Context, []uuid.UUID) (map[uuid.UUID]auth.UserRef, error)) (Timeline, error)
	Audit(ctx context.Context) (AuditReport, error)

	// Snapshot is what can be known of queues and health, once a second while an
	// operator watches. It does not fail: what cannot be known is null.
	Snapshot(ctx context.Context) OpsSnapshot

	// Callback takes in what the bank sent, whose signature is in the header.
	Callback(ctx context.Context, signature string, body []byte) error
}

// Refuse makes an error that the API tells its caller as it is.
func Refuse(code ProblemCode, field, detail string) error { return faultf(code, field, detail) }
