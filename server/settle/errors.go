package settle

import "github.com/JDevAman/kizo/server/problem"

// Codes of the errors below. They are part of the public API contract and never change.
const (
	CodeQueueNotFound      problem.Code = "queue_not_found"
	CodeQueueUnavailable   problem.Code = "queue_unavailable"
	CodeTaskNotFound       problem.Code = "task_not_found"
	CodeTaskBusy           problem.Code = "task_busy"
	CodePaymentNotFound    problem.Code = "payment_not_found"
	CodePaymentNotInReview problem.Code = "payment_not_in_review"
	CodeParameterMalformed problem.Code = "parameter_malformed"
	CodeBodyMalformed      problem.Code = "body_malformed"
)

// Errors of [Queues].
var (
	ErrNoQueue          = refusal(CodeQueueNotFound, "queue", "there is no such queue; settlement uses "+Queue)
	ErrNoTask           = refusal(CodeTaskNotFound, "task", "there is no such task: it may have been handled meanwhile")
	ErrTaskState        = refusal(CodeParameterMalformed, "state", "state is pending, active, scheduled, retry, archived or completed")
	ErrTaskAction       = refusal(CodeParameterMalformed, "action", "a task can be retried, archived or deleted")
	ErrTaskBusy         = refusal(CodeTaskBusy, "task", "the task is in a state that does not allow that")
	ErrQueueUnavailable = refusal(CodeQueueUnavailable, "", "the queue cannot be reached; payments are settled without it")
)

// Errors about payments and callbacks.
var (
	ErrNoPayment    = refusal(CodePaymentNotFound, "id", "that transfer has no payment")
	ErrNotInReview  = refusal(CodePaymentNotInReview, "id", "the payment does not wait for a decision")
	ErrCursor       = refusal(CodeParameterMalformed, "cursor", "the cursor is not valid: omit it to start with the first page")
	ErrCallbackBody = refusal(CodeBodyMalformed, "", "the body is not a callback")
)

func refusal(code problem.Code, field, message string) *problem.Error {
	return &problem.Error{Code: code, Field: field, Message: message}
}
