package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/JDevAman/kizo/trace"
)

// The types of an Event.
const (
	EventTransfer = "transfer" // a transfer of the user's took a state
	EventLive     = "live"     // all that had happened before has been told
	EventOps      = "ops"      // queues and health, once a second
)

// Event is one thing that happened, as the server tells it.
type Event struct {
	// ID is given to Events to go on after this one. That of EventLive stands for the moment at which
	// the stream caught up; EventOps has none.
	ID       string
	Type     string
	At       time.Time
	Transfer *Transfer    // of EventTransfer, as it stood in this state
	Ops      *OpsSnapshot // of EventOps
}

// EventOptions say where a stream begins and what is in it.
type EventOptions struct {
	Since string // the ID of an event, or a time as in RFC 3339; "" for now
	Ops   bool   // queues and health as well, for operators
}

// eventSilence is how long nothing may come, not even a heartbeat, of which there is one every ten
// seconds, before the line counts as dead.
const eventSilence = 25 * time.Second

// maxEventLine bounds a line of a stream; the longest that we know has 8 KB.
const maxEventLine = 256 << 10

// EventStream is a stream of events under way. It is for one goroutine; Close may be called from any.
type EventStream struct {
	server  string
	body    io.ReadCloser
	lines   *bufio.Reader
	ctx     context.Context // the caller's
	cancel  context.CancelFunc
	silence time.Duration
	silent  *time.Timer // ends the stream when nothing comes
	mute    *atomic.Bool
}

// Events opens a stream of what happens to the user's transfers. It ends with ctx. The server ends a stream
// when the access token or the session has ended, and when it stops: open a new one with Since = the ID
// of the last event, and nothing is lost or told twice.
func (k *Kizo) Events(ctx context.Context, o EventOptions) (*EventStream, error) {
	var params StreamEventsParams
	if o.Since != "" {
		params.Since = &o.Since
	}
	if o.Ops {
		params.Ops = &o.Ops
	}
	request, err := NewStreamEventsRequest(k.server, &params)
	if err != nil {
		return nil, err
	}
	ctx = inTrace(ctx)
	token, err := k.accessToken(ctx, call{})
	if err != nil {
		return nil, err
	}
	stream, err := k.openStream(ctx, request, token)
	if tokenRefused(err) {
		if token, err = k.refresh(ctx, token, err); err != nil {
			return nil, err
		}
		stream, err = k.openStream(ctx, request, token)
	}
	return stream, err
}

// openStream sends the request once and reads the answer's head.
func (k *Kizo) openStream(ctx context.Context, template *http.Request, token string) (*EventStream, error) {
	reading, cancel := context.WithCancel(ctx)
	s := &EventStream{
		server: k.Server(), ctx: ctx, cancel: cancel, silence: eventSilence, mute: new(atomic.Bool),
	}
	s.silent = time.AfterFunc(k.timeout, func() {
		s.mute.Store(true)
		cancel()
	})
	request := template.Clone(reading)
	request.Header.Set("Accept", "text/event-stream, application/problem+json")
	request.Header.Set(trace.Header, trace.From(ctx).Child().String())
	request.Header.Set("Authorization", "Bearer "+token)
	if k.userAgent != "" {
		request.Header.Set("User-Agent", k.userAgent)
	}
	endless := *k.http
	endless.Timeout = 0                  // the timer above sees to it
	response, err := endless.Do(request) //nolint:bodyclose // Close does, when the stream ends
	if err != nil {
		defer s.stop()
		return nil, s.failure(err)
	}
	s.body, s.lines = response.Body, bufio.NewReaderSize(response.Body, 16<<10)
	if response.StatusCode != http.StatusOK {
		defer s.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, maxEventLine))
		if err != nil {
			return nil, s.failure(err)
		}
		return nil, problem(ctx, template, &answer{response.StatusCode, response.Header, body}, k.now())
	}
	if media := response.Header.Get("Content-Type"); !strings.HasPrefix(media, "text/event-stream") {
		defer s.Close()
		return nil, &NotKizo{Server: k.Server()}
	}
	return s, nil
}

// Next waits for the next event. Any error ends the stream, io.EOF when the server ended it in order; so
// does silence of 25 seconds, in which not even a heartbeat came.
func (s *EventStream) Next() (Event, error) {
	for {
		event, told, err := s.read()
		if err != nil {
			defer s.Close()
			return Event{}, s.failure(err)
		}
		if told {
			return event, nil
		}
	}
}

// Close ends the stream; Next then fails. It may be called twice.
func (s *EventStream) Close() error {
	s.stop()
	return s.body.Close()
}

func (s *EventStream) stop() {
	s.silent.Stop()
	s.cancel()
}

// read reads up to an empty line; told says whether that was an event that we know.
func (s *EventStream) read() (event Event, told bool, err error) {
	var data []byte
	for {
		s.silent.Reset(s.silence)
		line, err := s.line()
		if err != nil {
			return event, false, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "id":
			event.ID = string(value)
		case "event":
			event.Type = string(value)
		case "data":
			if len(data) > 0 {
				data = append(data, '\n')
			}
			data = append(data, value...)
		case "":
			if len(line) > 0 { // a comment: a sign of life
				continue
			}
			if event.Type == "" && data == nil {
				continue
			}
			told, err := event.fill(data)
			return event, told, err
		}
		if len(data) > maxEventLine {
			return event, false, errors.New("an event is too large")
		}
	}
}

func (s *EventStream) line() ([]byte, error) {
	var line []byte
	for {
		part, err := s.lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err // half a line is no line
		case len(line) > maxEventLine:
			return nil, errors.New("a line of the stream is too long")
		}
	}
}

// fill reads the data of an event. A type that we do not know is passed over: new ones may come.
func (e *Event) fill(data []byte) (known bool, err error) {
	switch e.Type {
	case EventTransfer:
		var told TransferEvent
		if err = decode(data, &told); err == nil {
			e.At, e.Transfer = told.At, &told.Transfer
		}
	case EventOps:
		var told OpsSnapshot
		if err = decode(data, &told); err == nil {
			e.At, e.Ops = told.At, &told
		}
	case EventLive:
	default:
		return false, nil
	}
	if err != nil {
		return false, &malformedEvent{e.Type, err}
	}
	return true, nil
}

// malformedEvent is an event that the contract does not know. Opening the stream again would bring it again.
type malformedEvent struct {
	kind string
	err  error
}

func (m *malformedEvent) Error() string { return fmt.Sprintf("a %s event: %v", m.kind, m.err) }
func (m *malformedEvent) Unwrap() error { return m.err }

// failure says why the stream ended. The end of an orderly one is io.EOF.
func (s *EventStream) failure(err error) error {
	var malformed *malformedEvent
	switch {
	case errors.As(err, &malformed):
		return fmt.Errorf("%s does not answer like a Kizo server: %w", s.server, err)
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	case errors.Is(err, io.EOF) && s.body != nil:
		return io.EOF
	case s.mute.Load():
		err = errors.New("nothing came for too long, not even a heartbeat")
	}
	return &Unreachable{Server: s.server, Sent: s.body != nil, TraceID: trace.From(s.ctx).TraceID(), Err: plain(err)}
}
