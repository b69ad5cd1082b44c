package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/pgerr"
	"github.com/JDevAman/kizo/server/problem"
)

// stream is the response to one request for events:
//
//	catchUp: events of the table after position ─► "live" ─► live: events of the listener ─► …
//	                                                               heartbeats
//	                                                               snapshots for operators
//	                                                               checks of the session
//
// With follow=false it ends after "live", and counts as open no longer. Otherwise, it ends when its
// client is gone or too slow, when the token or the session has ended, and when the server stops.
// The client reconnects with the id of the last event.
type stream struct {
	api       *API
	ctx       context.Context
	request   *request
	listener  *ledger.Listener
	position  ledger.Position // the user's events up to here have been sent
	notBefore time.Time       // events before this time are not sent
	wantsOps  bool
	follows   bool // after live
	out       *bufio.Writer
}

// errStreamOver ends a stream without a failure.
var errStreamOver = errors.New("the stream is over")

// VisitStreamEventsResponse sends the header of the response. The events are sent by a goroutine
// that fasthttp starts, which must not use c.
func (s *stream) VisitStreamEventsResponse(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set("X-Accel-Buffering", "no") // otherwise nginx buffers the events
	c.Context().SetConnectionClose()
	conn := c.Context().Conn()
	beginStream(conn)
	ctx, cancel := context.WithCancel(s.ctx)
	s.ctx = ctx
	c.Status(fiber.StatusOK).Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		// When the server stops, a client that does not read is given a second.
		unregister := context.AfterFunc(s.api.streams, func() {
			cancel()
			stopStream(conn)
		})
		defer unregister()
		defer cancel()
		defer s.listener.Close()
		defer func() {
			if cause := recover(); cause != nil {
				s.api.log.Error("panic in a stream", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			}
		}()
		s.api.metrics.streams.Inc()
		defer s.api.metrics.streams.Dec()
		s.out = w
		s.run()
	})
	return nil
}

// run sends events until the stream ends.
func (s *stream) run() {
	err := s.comment("this is Kizo")
	if err == nil {
		err = s.catchUp()
	}
	if err == nil && s.follows {
		err = s.live()
	}
	switch {
	case errors.Is(err, errStreamOver), errors.Is(err, errClientGone), s.ctx.Err() != nil:
	case pgerr.IsUnavailable(err), problemOf(err).Code == openapi.Unavailable:
		s.api.log.Warn("a stream ended", "error", err)
	default:
		s.api.log.Error("a stream ended", "error", err)
	}
}

// catchUp sends the events of the table that were committed before the stream began. Events above
// the horizon are sent by live.
func (s *stream) catchUp() error {
	upTo, err := s.awaitHorizon()
	if err != nil {
		return err
	}
	for upTo.After(s.position) {
		ctx, cancel := context.WithTimeout(s.ctx, s.api.timeout)
		events, next, more, err := s.api.ledger.EventsOf(ctx, s.request.principal.UserID, s.position, upTo, catchUpPage)
		if err == nil {
			err = s.send(ctx, events)
		}
		cancel()
		if err != nil {
			return err
		}
		s.position = next
		if !more {
			s.position = upTo
		}
	}
	s.put("live", s.position.String(), []byte("{}"))
	return s.flush()
}

// awaitHorizon returns a horizon that includes every event that was committed before the stream
// began. It waits at most horizonTimeout for transactions that were open then; if they are still
// open, it returns the horizon below them.
func (s *stream) awaitHorizon() (ledger.Position, error) {
	horizon := s.listener.Horizon
	tick := time.NewTicker(horizonPollInterval)
	defer tick.Stop()
	for began := time.Now(); s.listener.End.After(horizon) && time.Since(began) < horizonTimeout; {
		select {
		case <-s.ctx.Done():
			return horizon, errStreamOver
		case <-tick.C:
		}
		var err error
		if horizon, err = s.api.ledger.Horizon(s.ctx); err != nil {
			return horizon, err
		}
	}
	return horizon, nil
}

// live sends events as they are committed, until the stream ends.
func (s *stream) live() error {
	heartbeat, recheck := time.NewTicker(s.api.heartbeat), time.NewTicker(s.api.recheck)
	defer heartbeat.Stop()
	defer recheck.Stop()
	var snapshots <-chan []byte
	if s.wantsOps {
		subscription, unsubscribe := s.api.snapshots.subscribe()
		defer unsubscribe()
		snapshots = subscription
	}
	for {
		var err error
		select {
		case <-s.ctx.Done():
			return errStreamOver
		case first, ok := <-s.listener.Events:
			if !ok {
				return errStreamOver
			}
			err = s.sendLive(first)
		case snapshot := <-snapshots:
			s.put("ops", "", snapshot)
			err = s.flush()
		case <-heartbeat.C:
			err = s.comment("")
		case <-recheck.C:
			err = s.recheckAccess()
		}
		if err != nil {
			return err
		}
	}
}

// sendLive sends an event and those that are in the listener's channel after it.
func (s *stream) sendLive(first *ledger.Event) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.api.timeout)
	defer cancel()
	batch := []*ledger.Event{first}
	for len(batch) < maxLiveBatch {
		select {
		case next, ok := <-s.listener.Events:
			if !ok {
				return errors.Join(s.send(ctx, batch), errStreamOver)
			}
			batch = append(batch, next)
			continue
		default:
		}
		break
	}
	return s.send(ctx, batch)
}

// send sends events, except those that have been sent or are before notBefore.
func (s *stream) send(ctx context.Context, events []*ledger.Event) error {
	var unsent []*ledger.Event
	for _, e := range events {
		if e.Position.After(s.position) && !e.At.Before(s.notBefore) {
			unsent = append(unsent, e)
		}
	}
	if len(unsent) == 0 {
		return nil
	}
	views, err := s.api.viewEvents(ctx, s.request.principal.UserID, unsent)
	if err != nil {
		return err
	}
	for i, e := range unsent {
		raw, err := json.Marshal(views[i])
		if err != nil {
			return fmt.Errorf("encode an event: %w", err)
		}
		s.put("transfer", e.Position.String(), raw)
		s.position = e.Position
	}
	return s.flush()
}

// recheckAccess checks the access token or the API key again: one that has expired, a session or a
// key that has ended and a user who has been suspended end the stream. A database that does not
// respond does not end it.
func (s *stream) recheckAccess() error {
	ctx, cancel := context.WithTimeout(s.ctx, s.api.timeout)
	defer cancel()
	principal, err := s.api.verifyToken(ctx, s.request.token)
	ended := problem.CodeOf(err) != ""
	demoted := err == nil && s.wantsOps && !s.api.readsAsOperator(principal)
	if ended || demoted {
		return errStreamOver
	}
	return nil
}

var errClientGone = errors.New("the client is gone")

// put writes a message to the buffer. Errors are returned by flush, as with bufio.
func (s *stream) put(kind, id string, data []byte) {
	if id != "" {
		fmt.Fprintf(s.out, "id: %s\n", id)
	}
	fmt.Fprintf(s.out, "event: %s\ndata: %s\n\n", kind, data) // encoded JSON has no line breaks
}

// comment sends a comment, which clients ignore.
func (s *stream) comment(text string) error {
	fmt.Fprintf(s.out, ": %s\n\n", text)
	return s.flush()
}

func (s *stream) flush() error {
	if s.out.Flush() != nil {
		return errClientGone
	}
	return nil
}
