package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/JDevAman/kizo/trace"
)

// maxBody bounds an answer: a page of 100 transfers takes a tenth of a megabyte.
const maxBody = 4 << 20

// call is one request of ours, however often it is sent.
type call struct {
	request   *http.Request // a template: every attempt sends a clone
	repeat    repeat
	anonymous bool
	key       string        // set iff it moves money
	sent      bool          // it may have been sent before, by a process that is gone
	wait      time.Duration // what the server is asked to wait
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// inTrace gives ctx a trace if it has none: all that one call sends is one piece of work.
func inTrace(ctx context.Context) context.Context {
	if trace.From(ctx).Valid() {
		return ctx
	}
	return trace.Into(ctx, trace.New())
}

// do sends a call until its answer means something, or patience ends.
func (k *Kizo) do(ctx context.Context, c call) (*answer, error) {
	ctx, cancel := context.WithTimeout(inTrace(ctx), k.retry.Total+c.wait)
	defer cancel()

	token, err := k.accessToken(ctx, c)
	if err != nil {
		return nil, c.inDoubt(err, c.sent)
	}
	doubt, refreshed := c.sent, false
	for attempts := 1; ; attempts++ {
		got, err := k.attempt(ctx, c, token)
		if err == nil {
			return got, nil
		}
		doubt = doubt || leavesDoubt(err)
		if tokenRefused(err) && !c.anonymous && !refreshed {
			refreshed = true
			if token, err = k.refresh(ctx, token, err); err != nil {
				return nil, c.inDoubt(err, doubt)
			}
			attempts--
			continue
		}
		if attempts >= k.retry.Attempts || !c.repeat.worthwhile(err) || ctx.Err() != nil {
			return nil, c.outcome(err, doubt)
		}
		wait := k.retry.delay(attempts, err)
		if deadline, _ := ctx.Deadline(); time.Until(deadline) <= wait {
			return nil, c.outcome(err, doubt)
		}
		if stopped := k.retry.Sleep(ctx, wait); stopped != nil {
			return nil, c.outcome(fmt.Errorf("%w, then %w", err, stopped), doubt)
		}
	}
}

// outcome turns the last error into what the caller must know: whether money may have moved.
func (c call) outcome(err error, doubt bool) error {
	return c.inDoubt(err, doubt && !settles(err))
}

// inDoubt keeps the doubt that an earlier attempt left, whatever came after it.
func (c call) inDoubt(err error, doubt bool) error {
	if c.key == "" || !doubt {
		return err
	}
	return &UnknownOutcome{Key: c.key, Err: err}
}

// leavesDoubt reports whether the request may have been carried out in spite of the error. Only the
// server's own word that it was not will do: a gateway's 502 says nothing about what is behind it.
func leavesDoubt(err error) bool {
	var unreached *Unreachable
	if errors.As(err, &unreached) {
		return unreached.Sent
	}
	var refused *Error
	if !errors.As(err, &refused) {
		return false
	}
	return refused.Code == OutcomeUnknown || (refused.Status >= 500 && refused.Code != Unavailable)
}

// settles reports whether an answer ends the doubt that an earlier attempt left. A refusal under the
// key does; "log in first" or "too busy" says nothing about that earlier attempt.
func settles(err error) bool {
	var refused *Error
	if !errors.As(err, &refused) || refused.Code == "" {
		return false
	}
	switch refused.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity:
		// What the clock alone may have made wrong since then settles nothing either.
		return refused.Code != OutcomeUnknown && refused.Code != ExpiryOutOfRange
	}
	return false
}

// attempt sends the call once. The error is an *Error or an *Unreachable.
func (k *Kizo) attempt(ctx context.Context, c call, token string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, k.timeout+c.wait)
	defer cancel()
	// From here on the server may have the request, whatever becomes of the connection.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	got, err := k.roundTrip(ctx, c, token)
	if err != nil {
		return nil, &Unreachable{Server: k.Server(), Sent: connected.Load(), TraceID: trace.From(ctx).TraceID(), Err: plain(err)}
	}
	if got.status < 200 || got.status > 299 {
		return nil, problem(ctx, c.request, got, k.now())
	}
	return got, nil
}

func (k *Kizo) roundTrip(ctx context.Context, c call, token string) (*answer, error) {
	request := c.request.Clone(ctx)
	if c.request.GetBody != nil {
		body, err := c.request.GetBody()
		if err != nil {
			return nil, err
		}
		request.Body = body
	}
	request.Header.Set("Accept", "application/json, application/problem+json")
	request.Header.Set(trace.Header, trace.From(ctx).Child().String()) // another step with each attempt
	if k.userAgent != "" {
		request.Header.Set("User-Agent", k.userAgent)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := k.http.Do(request)
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
	return &answer{response.StatusCode, response.Header, body}, nil
}
