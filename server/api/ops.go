package api

import (
	"context"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// Ops is what operators can look at and do beyond the ledger. The API knows
// neither the queue nor the bank: whoever assembles it brings this. Errors are
// made with Refuse, so that they have a code.
type Ops interface {
	Queues() ([]openapi.Queue, error)
	PauseQueue(queue string, pause bool) error
	Tasks(queue, state string, limit int) ([]openapi.Task, error)
	ActOnTask(queue, task, action string) error

	Payments(ctx context.Context, state, cursor string, limit int) (openapi.PaymentList, error)
	Payment(ctx context.Context, transfer uuid.UUID) (openapi.Payment, error)
	Resolve(ctx context.Context, transfer uuid.UUID, outcome string) (openapi.Payment, error)
	Reconcile(ctx context.Context) (openapi.Reconciliation, error)

	// Explain tells all that happened to a transfer. people gives the users that a sentence may name, with
	// their handles.
	Explain(ctx context.Context, t ledger.Transfer, people func(context.Context, []uuid.UUID) (map[uuid.UUID]auth.UserRef, error)) (openapi.Timeline, error)
	Audit(ctx context.Context) (openapi.AuditReport, error)

	// Snapshot is what can be known of queues and health, once a second while an
	// operator watches. It does not fail: what cannot be known is null.
	Snapshot(ctx context.Context) openapi.OpsSnapshot

	// Callback takes in what the bank sent, whose signature is in the header.
	Callback(ctx context.Context, signature string, body []byte) error
}

// Refuse makes an error that the API tells its caller as it is.
func Refuse(code openapi.ProblemCode, field, detail string) error { return faultf(code, field, detail) }
