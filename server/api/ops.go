package api

import (
	"context"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// People returns users by their ids.
type People = func(context.Context, []auth.UserID) (map[auth.UserID]auth.UserRef, error)

// Ops is what operators can see and do beyond the ledger. The API knows neither the queue nor the
// bank, so the package that assembles the server implements it. Its errors are problem.Errors, or
// internal failures.
type Ops interface {
	Queues() ([]openapi.Queue, error)
	PauseQueue(queue string, pause bool) error

	// Tasks returns the tasks of a queue with their payments, if the database answers. Like
	// Payments and Payment, it calls people for the handles of the users.
	Tasks(ctx context.Context, queue, state string, limit int, people People) ([]openapi.Task, error)
	ActOnTask(queue, task, action string) error

	Payments(ctx context.Context, state, cursor string, limit int, people People) (openapi.PaymentList, error)
	Payment(ctx context.Context, transfer uuid.UUID, people People) (openapi.Payment, error)
	Resolve(ctx context.Context, transfer uuid.UUID, outcome string) (openapi.Payment, error)
	Reconcile(ctx context.Context) (openapi.Reconciliation, error)

	// Explain returns the timeline of a transfer. It calls people for the handles of the users that
	// the timeline names.
	Explain(ctx context.Context, t ledger.Transfer, people People) (openapi.Timeline, error)
	Audit(ctx context.Context, mode ledger.AuditMode) (openapi.AuditReport, error)

	// Snapshot returns the state of queues and health. It is called once per second while an
	// operator watches. It does not fail: what cannot be determined is null.
	Snapshot(ctx context.Context) openapi.OpsSnapshot

	// History returns what the snapshots of the last time had, from memory. minutes selects the
	// samples of one minute; otherwise they are of one second.
	History(minutes bool) openapi.OpsHistory

	// Callback handles a callback of the bank, whose signature is the value of the header.
	Callback(ctx context.Context, signature string, body []byte) error
}
