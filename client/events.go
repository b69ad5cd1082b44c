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

	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/openapi"
)

// The types of an Event.
const (
	EventTransfer = "transfer" // a transfer of the user has a new state
	EventLive     = "live"     // all events before the stream was opened have been received
	EventOps      = "ops"      // queues and health, once a second
)

// Event is one event of the stream.
type Event struct {
	// ID is the position of the event: EventOptions.Since continues a stream after it. EventLive
	// has the position at which the stream caught up, EventOps has none.
	ID       string
	Type     string
	At       time.Time
	Transfer *Transfer    // of EventTransfer, in the state that the event reports
	Ops      *OpsSnapshot // of EventOps
}

// EventOptions say where a stream begins and which events it has.
type EventOptions struct {
	Since string // the ID of an event, or an RFC 3339 time; "" for now
	Ops   bool   // adds EventOps, for operators
	// UntilLive says that the caller reads no further than EventLive: the server then ends the
	// stream there. Otherwise it counts as open until the server notices that it is closed.
	UntilLive bool
}

// eventSilence is the time without data after which a connection counts as broken. The server sends
// a heartbeat every ten seconds.
const eventSilence = 25 * time.Second

// maxEventLine is the largest size of a line of text in bytes; OpsSnapshot, the longest, has 8 KB.
const maxEventLine = 256 << 10

// EventStream is an open stream of events. Next is for one goroutine; Close may be called from any.
type EventStream struct {
	server  string
	body    io.ReadCloser
	lines   *bufio.Reader
	ctx     context.Context // the caller's
	cancel  context.CancelFunc
	silence time.Duration
	silent  *time.Timer // ends the stream after silence
	mute    *atomic.Bool
}

// Events opens a stream of the events of the user's transfers. It ends with ctx. The server ends a
// stream when the access token or the session ends, and when the server stops. A new stream with
// Since set to the ID of the last event continues without loss or repetition.
func (c *Client) Events(ctx context.Context, o EventOptions) (*EventStream, error) {
	var params openapi.StreamEventsParams
	if o.Since != "" {
		params.Since = &o.Since
	}
	if o.Ops {
		params.Ops = &o.Ops
	}
	if o.UntilLive {
		params.Follow = new(false)
	}
	request, err := c.get("/v1/events", &params)
	if err != nil {
		return nil, err
	}
	ctx = inTrace(ctx)
	token, err := c.accessToken(ctx, operation{})
	if err != nil {
		return nil, err
	}
	stream, err := c.openStream(ctx, request, token)
	if tokenRefused(err) {
		if token, err = c.refresh(ctx, token, err); err != nil {
			return nil, err
		}
		stream, err = c.openStream(ctx, request, token)
	}
	return stream, err
}

// openStream sends the request once and reads the header of the answer.
func (c *Client) openStream(ctx context.Context, template *http.Request, token string) (*EventStream, error) {
	reading, cancel := context.WithCancel(ctx)
	s := &EventStream{
		server: c.Server(), ctx: ctx, cancel: cancel, silence: eventSilence, mute: new(atomic.Bool),
	}
	s.silent = time.AfterFunc(c.timeout, func() {
		s.mute.Store(true)
		cancel()
	})
	request := template.Clone(reading)
	request.Header.Set("Accept", "text/event-stream, application/problem+json")
	request.Header.Set(trace.Header, trace.From(ctx).Child().String())
	request.Header.Set("Authorization", "Bearer "+token)
	if c.userAgent != "" {
		request.Header.Set("User-Agent", c.userAgent)
	}
	endless := *c.http
	endless.Timeout = 0                  // silent ends the stream instead
	response, err := endless.Do(request) //nolint:bodyclose // EventStream.Close closes it
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
		return nil, problem(ctx, template, &answer{response.StatusCode, response.Header, body, response.TLS}, c.now())
	}
	if media := response.Header.Get("Content-Type"); !strings.HasPrefix(media, "text/event-stream") {
		defer s.Close()
		return nil, &ProtocolError{Server: c.Server()}
	}
	return s, nil
}

// Next waits for the next event. Every error ends the stream: io.EOF if the server ended it in
// order, an *UnreachableError after 25 seconds without an event or a heartbeat.
func (s *EventStream) Next() (Event, error) {
	for {
		event, known, err := s.read()
		if err != nil {
			defer s.Close()
			return Event{}, s.failure(err)
		}
		if known {
			return event, nil
		}
	}
}

// Close ends the stream; Next then returns an error. It may be called twice.
func (s *EventStream) Close() error {
	s.stop()
	return s.body.Close()
}

func (s *EventStream) stop() {
	s.silent.Stop()
	s.cancel()
}

// read reads up to an empty line of text. known says whether that was an event of a known type.
func (s *EventStream) read() (event Event, known bool, err error) {
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
			if len(line) > 0 { // a comment, such as a heartbeat
				continue
			}
			if event.Type == "" && data == nil {
				continue
			}
			known, err := event.fill(data)
			return event, known, err
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
			return nil, err // a line that is cut off is dropped
		case len(line) > maxEventLine:
			return nil, errors.New("a line of the stream is too long")
		}
	}
}

// fill decodes the data of an event. Unknown types are skipped, since the contract may gain new
// ones.
func (e *Event) fill(data []byte) (known bool, err error) {
	switch e.Type {
	case EventTransfer:
		var content openapi.TransferEvent
		if err = decode(data, &content); err == nil {
			e.At, e.Transfer = content.At, &content.Transfer
		}
	case EventOps:
		var content OpsSnapshot
		if err = decode(data, &content); err == nil {
			e.At, e.Ops = content.At, &content
		}
	case EventLive:
	default:
		return false, nil
	}
	if err != nil {
		return false, &malformedEventError{e.Type, err}
	}
	return true, nil
}

// malformedEventError is an event that the contract does not allow. A new stream would receive it
// again.
type malformedEventError struct {
	kind string
	err  error
}

func (e *malformedEventError) Error() string { return fmt.Sprintf("a %s event: %v", e.kind, e.err) }
func (e *malformedEventError) Unwrap() error { return e.err }

// failure returns the error with which the stream ended, io.EOF if the server ended it in order.
func (s *EventStream) failure(err error) error {
	var malformed *malformedEventError
	switch {
	case errors.As(err, &malformed):
		return fmt.Errorf("%s does not answer like a Kizo server: %w", s.server, err)
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	case errors.Is(err, io.EOF) && s.body != nil:
		return io.EOF
	case s.mute.Load():
		err = errors.New("the server sent neither events nor heartbeats for too long")
	}
	return &UnreachableError{Server: s.server, Sent: s.body != nil, TraceID: trace.From(s.ctx).TraceID(), Err: plain(err)}
}
