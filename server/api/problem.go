package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/pgerr"
	"github.com/JDevAman/kizo/server/problem"
)

// statuses is the table from a problem's code to its HTTP status. A test fails for a code that is
// missing here or in the contract.
var statuses = map[openapi.ProblemCode]int{
	openapi.BodyMalformed:        http.StatusBadRequest,
	openapi.BodyTooLarge:         http.StatusRequestEntityTooLarge,
	openapi.MediaTypeUnsupported: http.StatusUnsupportedMediaType,
	openapi.ParameterMalformed:   http.StatusBadRequest,
	openapi.TooManyStreams:       http.StatusTooManyRequests,
	openapi.RouteNotFound:        http.StatusNotFound,
	openapi.MethodNotAllowed:     http.StatusMethodNotAllowed,
	openapi.NoSignedAudit:        http.StatusConflict,
	openapi.NotDev:               http.StatusForbidden,
	openapi.NoMail:               http.StatusForbidden,
	openapi.Forbidden:            http.StatusForbidden,
	openapi.OwnAccount:           http.StatusForbidden,
	openapi.SecondFactorRequired: http.StatusForbidden,
	openapi.ApprovalRequired:     http.StatusForbidden,
	openapi.OwnRequest:           http.StatusForbidden,
	openapi.ApprovalNotFound:     http.StatusNotFound,
	openapi.ApprovalDecided:      http.StatusConflict,

	openapi.Unauthenticated:     http.StatusUnauthorized,
	openapi.TokenInvalid:        http.StatusUnauthorized,
	openapi.TokenExpired:        http.StatusUnauthorized,
	openapi.SessionRevoked:      http.StatusUnauthorized,
	openapi.InvalidCredentials:  http.StatusUnauthorized,
	openapi.AccountSuspended:    http.StatusForbidden,
	openapi.AccountClosed:       http.StatusConflict,
	openapi.AccountNotEmpty:     http.StatusConflict,
	openapi.RefreshTokenInvalid: http.StatusUnauthorized,
	openapi.RefreshTokenReused:  http.StatusUnauthorized,
	openapi.EmailTaken:          http.StatusConflict,
	openapi.HandleTaken:         http.StatusConflict,
	openapi.HandleUnchanged:     http.StatusBadRequest,
	openapi.EmailMalformed:      http.StatusBadRequest,
	openapi.HandleMalformed:     http.StatusBadRequest,
	openapi.NameMalformed:       http.StatusBadRequest,
	openapi.HandleReserved:      http.StatusBadRequest,
	openapi.NameReserved:        http.StatusBadRequest,
	openapi.PasswordTooShort:    http.StatusBadRequest,
	openapi.PasswordTooLong:     http.StatusBadRequest,
	openapi.PasswordMalformed:   http.StatusBadRequest,
	openapi.PasswordTooCommon:   http.StatusBadRequest,
	openapi.PasswordPersonal:    http.StatusBadRequest,
	openapi.PasswordUnchanged:   http.StatusBadRequest,
	openapi.ResetCodeInvalid:    http.StatusUnauthorized,
	openapi.EmailCodeInvalid:    http.StatusUnauthorized,
	openapi.OtpRequired:         http.StatusUnauthorized,
	openapi.OtpInvalid:          http.StatusUnauthorized,
	openapi.StepUpRequired:      http.StatusForbidden,
	openapi.SecondFactorExists:  http.StatusConflict,
	openapi.SecondFactorMissing: http.StatusConflict,
	openapi.UserCodeInvalid:     http.StatusNotFound,
	openapi.TooManyDeviceLogins: http.StatusTooManyRequests,
	openapi.TooManyAttempts:     http.StatusTooManyRequests,
	openapi.TooManyLookups:      http.StatusTooManyRequests,
	openapi.UserNotFound:        http.StatusNotFound,
	openapi.SessionNotFound:     http.StatusNotFound,
	openapi.KeyExpired:          http.StatusUnauthorized,
	openapi.KeyRevoked:          http.StatusUnauthorized,
	openapi.KeyNetworkRefused:   http.StatusForbidden,
	openapi.KeyNotFound:         http.StatusNotFound,
	openapi.KeyNameTaken:        http.StatusConflict,
	openapi.KeyLifeOutOfRange:   http.StatusBadRequest,
	openapi.TooManyKeys:         http.StatusConflict,
	openapi.ScopeUnknown:        http.StatusBadRequest,
	openapi.ScopeMissing:        http.StatusForbidden,
	openapi.SessionRequired:     http.StatusForbidden,
	openapi.NetworkMalformed:    http.StatusBadRequest,

	openapi.TooManyHandleChanges: http.StatusConflict,

	// RFC 8628, 3.5, and RFC 6749, 5.2.
	openapi.AuthorizationPending: http.StatusBadRequest,
	openapi.SlowDown:             http.StatusBadRequest,
	openapi.AccessDenied:         http.StatusBadRequest,
	openapi.ExpiredToken:         http.StatusBadRequest,

	openapi.AmountOutOfRange:        http.StatusBadRequest,
	openapi.CurrencyUnknown:         http.StatusBadRequest,
	openapi.MemoMalformed:           http.StatusBadRequest,
	openapi.TagsMalformed:           http.StatusBadRequest,
	openapi.ExpiryOutOfRange:        http.StatusBadRequest,
	openapi.TimeInFuture:            http.StatusBadRequest,
	openapi.IdempotencyKeyMissing:   http.StatusBadRequest,
	openapi.IdempotencyKeyMalformed: http.StatusBadRequest,
	openapi.IdempotencyKeyReused:    http.StatusUnprocessableEntity,
	openapi.PayeeNotFound:           http.StatusNotFound,
	openapi.PayeeRenamed:            http.StatusNotFound,
	openapi.PayeeClosed:             http.StatusNotFound,
	openapi.PayeeIsSelf:             http.StatusBadRequest,
	openapi.WalletNotFound:          http.StatusNotFound,
	openapi.TransferNotFound:        http.StatusNotFound,

	openapi.InsufficientFunds:       http.StatusUnprocessableEntity,
	openapi.AccountFrozen:           http.StatusUnprocessableEntity,
	openapi.BalanceLimit:            http.StatusUnprocessableEntity,
	openapi.PayeeWalletMissing:      http.StatusUnprocessableEntity,
	openapi.AuthorizationExpired:    http.StatusUnprocessableEntity,
	openapi.TransferNotPending:      http.StatusUnprocessableEntity,
	openapi.TransferNotReversible:   http.StatusUnprocessableEntity,
	openapi.CaptureExceedsHold:      http.StatusUnprocessableEntity,
	openapi.ReversalExceedsTransfer: http.StatusUnprocessableEntity,
	openapi.LimitExceeded:           http.StatusUnprocessableEntity,
	openapi.BatchRefused:            http.StatusUnprocessableEntity,

	openapi.SignatureInvalid:   http.StatusUnauthorized,
	openapi.ReasonMalformed:    http.StatusBadRequest,
	openapi.QueueUnavailable:   http.StatusServiceUnavailable,
	openapi.QueueNotFound:      http.StatusNotFound,
	openapi.TaskNotFound:       http.StatusNotFound,
	openapi.TaskBusy:           http.StatusConflict,
	openapi.PaymentNotFound:    http.StatusNotFound,
	openapi.PaymentNotInReview: http.StatusConflict,

	openapi.RateLimited:    http.StatusTooManyRequests,
	openapi.Overloaded:     http.StatusServiceUnavailable,
	openapi.OutcomeUnknown: http.StatusServiceUnavailable,
	openapi.Unavailable:    http.StatusServiceUnavailable,
	openapi.Internal:       http.StatusInternalServerError,
}

// requestError is an error that the API itself finds in a request.
type requestError struct {
	code   openapi.ProblemCode
	detail string
	field  string
	after  time.Duration // after which a retry can succeed; 0 if that is not known

	misrouted bool // the request is for a process with other roles
}

func (f *requestError) Error() string { return string(f.code) + ": " + f.detail }

// reject returns the error for a request that the API rejects. Field may be empty.
func reject(code openapi.ProblemCode, field, detail string) *requestError {
	return &requestError{code: code, detail: detail, field: field}
}

func unknownCurrency() *requestError {
	return reject(openapi.CurrencyUnknown, "currency", "that is not an ISO 4217 currency code: send one such as USD, EUR or JPY")
}

// problemOf turns any error into the problem that the client receives. Only errors of the
// server's packages say why; the text of any other is logged.
func problemOf(err error) openapi.Problem {
	if f, ok := errors.AsType[*requestError](err); ok {
		return describe(f.code, f.detail, f.field)
	}
	if e, ok := errors.AsType[*problem.Error](err); ok {
		p := describe(openapi.ProblemCode(e.Code), e.Message, e.Field)
		if refusal, ok := errors.AsType[*ledger.Refusal](err); ok {
			p.TransferId = &refusal.Transfer.ID
		}
		return p
	}
	if e, ok := errors.AsType[*fiber.Error](err); ok {
		return describeFiber(e)
	}
	if pgerr.IsUnavailable(err) {
		return describe(openapi.Unavailable, "the database is not reachable; try again in a moment", "")
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return describe(openapi.Unavailable, "the request was canceled or took too long", "")
	}
	return describe(openapi.Internal, "something is wrong on our side; it has been noted", "")
}

// maxQuoted is the number of characters of a library's error that a problem repeats.
const maxQuoted = 200

// describeFiber returns the problem for an error of Fiber or the generated code: the route, the
// method, the size or a parameter. checkBody has checked the body before.
func describeFiber(e *fiber.Error) openapi.Problem {
	switch e.Code {
	case http.StatusNotFound:
		return describe(openapi.RouteNotFound, "there is no such route; /openapi.yaml lists them", "")
	case http.StatusMethodNotAllowed:
		return describe(openapi.MethodNotAllowed, "this route does not support that method", "")
	case http.StatusRequestEntityTooLarge:
		return describe(openapi.BodyTooLarge, fmt.Sprintf("a request body is at most %d bytes, and that of a batch at most %d", maxBody, maxBatchBody), "")
	case http.StatusRequestHeaderFieldsTooLarge:
		return describe(openapi.ParameterMalformed, "the header fields of the request are too large", "")
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return describe(openapi.ParameterMalformed, text.Clean(e.Message, maxQuoted), "") // the message may quote the caller
	case http.StatusServiceUnavailable, http.StatusRequestTimeout:
		return describe(openapi.Unavailable, "try again in a moment", "")
	default:
		return describe(openapi.Internal, "something is wrong on our side; it has been noted", "")
	}
}

// describe returns a problem with the status of its code.
func describe(code openapi.ProblemCode, detail, field string) openapi.Problem {
	status, ok := statuses[code]
	if !ok {
		code, status = openapi.Internal, http.StatusInternalServerError
	}
	p := openapi.Problem{
		Type: "https://kizo.dev/problems/" + string(code), Title: http.StatusText(status),
		Status: status, Code: code, Detail: detail,
	}
	if field != "" {
		p.Field = &field
	}
	return p
}

// retryAfter returns the time after which a caller may retry: what the error says, else one second.
func retryAfter(err error) time.Duration {
	if f, ok := errors.AsType[*requestError](err); ok && f.after > 0 {
		return f.after
	}
	if e, ok := errors.AsType[*problem.Error](err); ok && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return time.Second
}

// isMisrouted reports whether the request was for a process with other roles.
func isMisrouted(err error) bool {
	f, ok := errors.AsType[*requestError](err)
	return ok && f.misrouted
}

// handleError turns an error into a response. It is Fiber's ErrorHandler.
func (a *API) handleError(c *fiber.Ctx, err error) error {
	e, _ := errors.AsType[*fiber.Error](err)
	if e != nil && e.Code == http.StatusRequestEntityTooLarge {
		closeGracefully(c.Context().Conn())
		if reason := a.whyTooLarge(&c.Request().Header); reason != nil {
			err = reason
		}
	}
	p := problemOf(err)
	if requestID(c) == "" { // Fiber rejected it before the first middleware: too large, too slow, or not HTTP
		assignIDs(c)
		secureHeader(&c.Response().Header)
	}
	id, traceID := requestID(c), traceOf(c).TraceID()
	p.RequestId, p.TraceId = &id, &traceID
	switch {
	case e != nil && e.Code == http.StatusRequestTimeout: // not logged: the client was too slow, and nothing has failed here
	case p.Code == openapi.Overloaded: // not logged, which would add to the load; a metric counts it
	case isMisrouted(err): // logged for debugging only: nothing has failed here, and a proxy may send many
		a.log.Debug("request for a process with other roles", "request_id", id, "trace_id", traceID, "method", c.Method(), "route", c.Route().Path)
	case p.Status >= http.StatusInternalServerError:
		a.log.Error("request failed", "request_id", id, "trace_id", traceID, "method", c.Method(),
			"route", c.Route().Path, "code", string(p.Code), "error", err)
	}
	a.logRefusal(c, p, id)
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		c.Set(fiber.HeaderRetryAfter, strconv.FormatInt(wholeSeconds(retryAfter(err)), 10))
	}
	if p.Status == http.StatusUnauthorized {
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="kizo"`)
	}
	if refusal, ok := errors.AsType[*ledger.Refusal](err); ok && refusal.Replayed {
		c.Set(replayedHeader, "true")
	}
	// Without the second argument, Fiber sets the content type application/json.
	if err := c.Status(p.Status).JSON(p, "application/problem+json"); err != nil {
		a.log.Error("cannot send a problem", slog.Any("error", err))
		return c.SendStatus(http.StatusInternalServerError)
	}
	return nil
}
