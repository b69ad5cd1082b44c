package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/JDevAman/kizo/internal/trace"
)

// maxBody is the largest answer in bytes; a page of 100 transfers has about 100 KB.
const maxBody = 4 << 20

// operation is one request of a caller, however often it is sent.
type operation struct {
	request   *http.Request // a template: every attempt sends a clone
	repeat    repeat
	anonymous bool
	key       string        // the idempotency key, set only if the operation moves money
	sent      bool          // another process may have sent it before
	wait      time.Duration // how long the server is asked to wait before it answers
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	tls    *tls.ConnectionState // nil without TLS
}

// inTrace gives ctx a trace if it has none, so that all requests of one operation share a trace.
func inTrace(ctx context.Context) context.Context {
	if trace.From(ctx).Valid() {
		return ctx
	}
	return trace.Into(ctx, trace.New())
}

// doWithRetry sends an operation until it gets an answer that a repeat would not change, or the
// retry policy ends.
func (c *Client) doWithRetry(ctx context.Context, op operation) (*answer, error) {
	ctx, cancel := context.WithTimeout(inTrace(ctx), c.retry.Total+op.wait)
	defer cancel()

	token, err := c.accessToken(ctx, op)
	if err != nil {
		return nil, op.inDoubt(err, op.sent)
	}
	doubt, refreshed := op.sent, false
	for attempts := 1; ; attempts++ {
		got, err := c.attempt(ctx, op, token)
		if err == nil {
			return got, nil
		}
		doubt = doubt || leavesDoubt(err)
		if tokenRefused(err) && !op.anonymous && !refreshed {
			refreshed = true
			if token, err = c.refresh(ctx, token, err); err != nil {
				return nil, op.inDoubt(err, doubt)
			}
			attempts--
			continue
		}
		if attempts >= c.retry.Attempts || !op.repeat.allows(err) || ctx.Err() != nil {
			return nil, op.outcome(err, doubt)
		}
		wait := c.retry.delay(attempts, err)
		if deadline, _ := ctx.Deadline(); time.Until(deadline) <= wait {
			return nil, op.outcome(err, doubt)
		}
		if stopped := c.retry.Sleep(ctx, wait); stopped != nil {
			return nil, op.outcome(fmt.Errorf("%w, then %w", err, stopped), doubt)
		}
	}
}

// outcome turns the last error into an error that says whether money may have moved.
func (op operation) outcome(err error, doubt bool) error {
	return op.inDoubt(err, doubt && !settles(err))
}

// inDoubt returns err, or an UnknownOutcomeError if doubt says that the operation may have moved
// money.
func (op operation) inDoubt(err error, doubt bool) error {
	if op.key == "" || !doubt {
		return err
	}
	return &UnknownOutcomeError{Key: op.key, Err: err}
}

// leavesDoubt reports whether the request may have been carried out in spite of the error. Only an
// answer of a Kizo server excludes that: a gateway's 502 says nothing about the server behind it.
func leavesDoubt(err error) bool {
	if unreached, ok := errors.AsType[*UnreachableError](err); ok {
		return unreached.Sent
	}
	refused, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	return refused.Code == OutcomeUnknown || (refused.Status >= 500 && refused.Code != Unavailable)
}

// settles reports whether an answer ends the doubt that an earlier attempt left. A refusal under
// the idempotency key does; "log in first" or "too busy" says nothing about that earlier attempt.
func settles(err error) bool {
	refused, ok := errors.AsType[*Error](err)
	if !ok || refused.Code == "" {
		return false
	}
	switch refused.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity:
		// An expiry that has come too near since the earlier attempt settles nothing either.
		return refused.Code != OutcomeUnknown && refused.Code != ExpiryOutOfRange
	}
	return false
}

// attempt sends the operation once. The error is an *Error or an *UnreachableError.
func (c *Client) attempt(ctx context.Context, op operation, token string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout+op.wait)
	defer cancel()
	// Once there is a connection, the server may have received the request, even if the
	// connection breaks.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	got, err := c.roundTrip(ctx, op, token)
	if err != nil {
		return nil, &UnreachableError{Server: c.Server(), Sent: connected.Load(), TraceID: trace.From(ctx).TraceID(), Err: plain(err)}
	}
	if got.status < 200 || got.status > 299 {
		return nil, problem(ctx, op.request, got, c.now())
	}
	return got, nil
}

func (c *Client) roundTrip(ctx context.Context, op operation, token string) (*answer, error) {
	request := op.request.Clone(ctx)
	if op.request.GetBody != nil {
		body, err := op.request.GetBody()
		if err != nil {
			return nil, err
		}
		request.Body = body
	}
	request.Header.Set("Accept", "application/json, application/problem+json")
	request.Header.Set(trace.Header, trace.From(ctx).Child().String()) // each attempt is a span of its own
	if c.userAgent != "" {
		request.Header.Set("User-Agent", c.userAgent)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxBody)
	}
	return &answer{response.StatusCode, response.Header, body, response.TLS}, nil
}
