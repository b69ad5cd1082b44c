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
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/pgerr"
	"github.com/JDevAman/kizo/server/problem"
)

// stream is one answer that does not end by itself:
//
//	the table, from position on ─► live ─► what the listener is sent ─► …
//	              and between them: heartbeats, snapshots for operators,
//	              and a look whether its reader may still read
//
// It ends when its reader is gone or too slow, when the token or session has ended,
// and when the server stops. Its reader goes on elsewhere after the last id.
type stream struct {
	api       *API
	ctx       context.Context
	who       request
	listener  *ledger.Listener
	position  ledger.Position // all of the reader's events up to here have been told
	notBefore time.Time       // older ones are left out
	wantsOps  bool
	out       *bufio.Writer
}

// errStreamOver ends a stream in order.
var errStreamOver = errors.New("the stream is over")

// VisitStreamEventsResponse begins to answer. The rest happens in a goroutine that
// fasthttp starts; nothing of c may be used there.
func (s *stream) VisitStreamEventsResponse(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set("X-Accel-Buffering", "no") // nginx would collect it
	c.Context().SetConnectionClose()
	conn := c.Context().Conn()
	streamOn(conn)
	ctx, cancel := context.WithCancel(s.ctx)
	s.ctx = ctx
	c.Status(fiber.StatusOK).Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		// Whoever does not read when we stop has a second.
		stopHurry := context.AfterFunc(s.api.streams, func() {
			cancel()
			hurryUp(conn)
		})
		defer stopHurry()
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

func (s *stream) run() {
	err := s.comment("this is Kizo")
	if err == nil {
		err = s.catchUp()
	}
	if err == nil {
		err = s.live()
	}
	switch {
	case errors.Is(err, errStreamOver), errors.Is(err, errReaderGone), s.ctx.Err() != nil:
	case pgerr.IsUnavailable(err), problemOf(err).Code == openapi.Unavailable:
		s.api.log.Warn("a stream ended", "error", err)
	default:
		s.api.log.Error("a stream ended", "error", err)
	}
}

// catchUp tells what the table holds of all that was committed before the stream
// began. What a transaction that runs meanwhile still hides comes live.
func (s *stream) catchUp() error {
	upTo, err := s.present()
	if err != nil {
		return err
	}
	for upTo.After(s.position) {
		ctx, cancel := context.WithTimeout(s.ctx, s.api.timeout)
		events, next, more, err := s.api.ledger.EventsOf(ctx, s.who.principal.UserID, s.position, upTo, catchUpPage)
		if err == nil {
			err = s.tell(ctx, events)
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

// present is a horizon below which all lies that was committed before the stream
// began. It waits for the transactions that ran then, for a moment.
func (s *stream) present() (ledger.Position, error) {
	horizon := s.listener.Horizon
	tick := time.NewTicker(presentEvery)
	defer tick.Stop()
	for began := time.Now(); s.listener.End.After(horizon) && time.Since(began) < presentWithin; {
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

// live tells what happens from now on.
func (s *stream) live() error {
	heartbeat, recheck := time.NewTicker(s.api.heartbeat), time.NewTicker(s.api.recheck)
	defer heartbeat.Stop()
	defer recheck.Stop()
	var snapshots <-chan []byte
	if s.wantsOps {
		watch, leave := s.api.board.watch()
		defer leave()
		snapshots = watch
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
			err = s.tellLive(first)
		case snapshot := <-snapshots:
			s.put("ops", "", snapshot)
			err = s.flush()
		case <-heartbeat.C:
			err = s.comment("")
		case <-recheck.C:
			err = s.stillAllowed()
		}
		if err != nil {
			return err
		}
	}
}

// tellLive tells an event and those that wait behind it.
func (s *stream) tellLive(first *ledger.Event) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.api.timeout)
	defer cancel()
	batch := []*ledger.Event{first}
	for len(batch) < liveBatch {
		select {
		case next, ok := <-s.listener.Events:
			if !ok {
				return errors.Join(s.tell(ctx, batch), errStreamOver)
			}
			batch = append(batch, next)
			continue
		default:
		}
		break
	}
	return s.tell(ctx, batch)
}

// tell sends events, but those that have been told or are too old.
func (s *stream) tell(ctx context.Context, events []*ledger.Event) error {
	var fresh []*ledger.Event
	for _, e := range events {
		if e.Position.After(s.position) && !e.At.Before(s.notBefore) {
			fresh = append(fresh, e)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	views, err := s.api.viewEvents(ctx, s.who.principal.UserID, fresh)
	if err != nil {
		return err
	}
	for i, e := range fresh {
		raw, err := json.Marshal(views[i])
		if err != nil {
			return fmt.Errorf("write an event: %w", err)
		}
		s.put("transfer", e.Position.String(), raw)
		s.position = e.Position
	}
	return s.flush()
}

// stillAllowed asks once more what the request was asked when it came: an access
// token that has run out, a session that has been ended and a user who has been
// suspended end the stream. A database that does not answer does not.
func (s *stream) stillAllowed() error {
	ctx, cancel := context.WithTimeout(s.ctx, s.api.timeout)
	defer cancel()
	principal, err := s.api.auth.Verify(ctx, s.who.token)
	ended := problem.CodeOf(err) != ""
	demoted := err == nil && s.wantsOps && principal.Role != auth.RoleOperator
	if ended || demoted {
		return errStreamOver
	}
	return nil
}

var errReaderGone = errors.New("the reader is gone")

// put leaves an error to flush, as bufio does.
func (s *stream) put(kind, id string, data []byte) {
	if id != "" {
		fmt.Fprintf(s.out, "id: %s\n", id)
	}
	fmt.Fprintf(s.out, "event: %s\ndata: %s\n\n", kind, data) // JSON has no line breaks
}

func (s *stream) comment(text string) error {
	fmt.Fprintf(s.out, ": %s\n\n", text)
	return s.flush()
}

func (s *stream) flush() error {
	if s.out.Flush() != nil {
		return errReaderGone
	}
	return nil
}
