package client

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/JDevAman/kizo/openapi"
)

// StepUp gives a code of the second factor, or a recovery code, for the session. The session needs
// no other one until the time that it returns.
func (c *Client) StepUp(ctx context.Context, otp string) (validUntil time.Time, err error) {
	request, err := c.send(http.MethodPost, "/v1/auth/step-up", openapi.StepUp{Otp: otp})
	if err != nil {
		return time.Time{}, err
	}
	done, err := fetch[openapi.StepUpDone](ctx, c, operation{request: request, repeat: unsentOnly})
	return done.ValidUntil, err
}

// StepUpStatus says what the session needs a code of the second factor for.
func (c *Client) StepUpStatus(ctx context.Context) (StepUpStatus, error) {
	request, err := c.get("/v1/auth/step-up", nil)
	return read[StepUpStatus](ctx, c, request, err)
}

// SetStepUpThreshold sets the amount, in minor units, above which a transfer needs a step-up.
func (c *Client) SetStepUpThreshold(ctx context.Context, currency string, amount int64) (StepUpStatus, error) {
	request, err := c.send(http.MethodPut, pathOf("/v1/auth/step-up/%s", currency), openapi.StepUpThresholdSet{Amount: amount})
	return read[StepUpStatus](ctx, c, request, err)
}

// RemoveStepUpThreshold lets transfers in a currency need no step-up.
func (c *Client) RemoveStepUpThreshold(ctx context.Context, currency string) (StepUpStatus, error) {
	request, err := c.send(http.MethodDelete, pathOf("/v1/auth/step-up/%s", currency), nil)
	return read[StepUpStatus](ctx, c, request, err)
}

// RenewRecoveryCodes replaces the recovery codes of the user, and returns the new ones, which
// cannot be read again. otp may be empty within a step-up.
func (c *Client) RenewRecoveryCodes(ctx context.Context, password, otp string) ([]string, error) {
	request, err := c.send(http.MethodPost, "/v1/auth/second-factor/recovery-codes", openapi.RecoveryCodesRenew{Password: password, Otp: otp})
	if err != nil {
		return nil, err
	}
	codes, err := fetch[openapi.RecoveryCodes](ctx, c, operation{request: request, repeat: unsentOnly, wait: logInTimeout})
	return codes.RecoveryCodes, err
}

// stepUps calls Config.StepUp for one request at a time. The others that wait then go on without
// another code.
type stepUps struct {
	ask    func(ctx context.Context, c *Client, refused *Error) error
	asking sync.Mutex
	done   atomic.Int64 // successful calls of ask
}

// stepUp makes a step-up for a request that was refused, unless there was one since the request
// began, when there had been before.
func (s *stepUps) stepUp(ctx context.Context, c *Client, refused *Error, before int64) error {
	s.asking.Lock()
	defer s.asking.Unlock()
	if s.done.Load() != before {
		return nil
	}
	if err := s.ask(ctx, c, refused); err != nil {
		return err
	}
	s.done.Add(1)
	return nil
}

// do sends an operation. If the server asks for a step-up and Config.StepUp makes one, it sends the
// same operation again, under the same idempotency key.
func (c *Client) do(ctx context.Context, op operation) (*answer, error) {
	if c.stepUps.ask == nil {
		return c.doWithRetry(ctx, op)
	}
	ctx, before := inTrace(ctx), c.stepUps.done.Load()
	got, err := c.doWithRetry(ctx, op)
	refused, ok := errors.AsType[*Error](err)
	if !ok || refused.Code != StepUpRequired {
		return got, err
	}
	_, doubt := errors.AsType[*UnknownOutcomeError](err)
	if failed := c.stepUps.stepUp(ctx, c, refused, before); failed != nil {
		return nil, op.inDoubt(failed, doubt)
	}
	op.sent = op.sent || doubt
	return c.doWithRetry(ctx, op)
}
