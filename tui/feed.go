package tui

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/localtime"
)

// feed supplies the dashboard with data until its context ends. It reads the stream of events; if
// the stream is refused but requests work, it polls every two seconds; if neither works, it
// reconnects with exponential backoff.
//
//	     ┌────────── stream ends ───────────┐
//	     ▼                                  │
//	connect ──stream──► LIVE ───events──────┘
//	     │ refused, but requests work
//	     ├──► POLL, 2 s ──► connect
//	     ├──► OFFLINE, back-off ──► connect
//	     └──► no session, until there is one ──► connect
//
// run sends from one goroutine and stops with its context. A burst of events becomes one message.
type feed struct {
	server   Server
	clock    func() time.Time
	send     func(any) // passes a message to the program; it may block
	retryNow chan struct{}
	batch    time.Duration
	poll     time.Duration
	backoff  func(failures int) time.Duration
}

// eventsMsg is the events since the last message, in order.
type eventsMsg struct{ events []client.Event }

// connectionStateMsg says how the dashboard gets its data from the server.
type connectionStateMsg struct {
	state connectionState
	err   error
	next  time.Duration // time until the next attempt
}

// summaryMsg is the server's answer to a request for a summary.
type summaryMsg struct {
	summary client.Summary
	err     error
}

// meMsg says who the user is.
type meMsg struct{ me client.User }

// loggedOutMsg says that there is no session.
type loggedOutMsg struct{ err error }

const (
	// maxBatch limits the events of one message, and so the memory between the connection and the
	// screen.
	maxBatch   = 512
	batchPause = 50 * time.Millisecond
	pollPause  = 2 * time.Second
	// loggedOutPause is the time between two checks whether another process has logged in.
	loggedOutPause = 5 * time.Second
)

func newFeed(server Server, clock func() time.Time, send func(any)) *feed {
	return &feed{server: server, clock: clock, send: send, retryNow: make(chan struct{}, 1), batch: batchPause, poll: pollPause, backoff: backoff}
}

// backoff returns a random time that grows from 0.5 to 15 seconds (full jitter above a tenth), so
// that clients do not reconnect all at once.
func backoff(failures int) time.Duration {
	ceiling := min(15*time.Second, 500*time.Millisecond<<min(failures, 6))
	return ceiling/10 + rand.N(ceiling*9/10) //nolint:gosec // a pause is no secret
}

// now starts the next attempt at once.
func (f *feed) now() {
	select {
	case f.retryNow <- struct{}{}:
	default:
	}
}

func (f *feed) run(ctx context.Context) {
	place, failures := &streamPlace{}, 0
	for ctx.Err() == nil {
		streamed := false
		err := f.follow(ctx, place, func() { failures, streamed = 0, true })
		if ctx.Err() != nil {
			return
		}
		if sessionEnded(err) {
			f.send(loggedOutMsg{err})
			f.wait(ctx, loggedOutPause) // another kizo may log in
			continue
		}
		// The stream ended. If requests work, their answers replace the stream.
		if streamed {
			f.send(connectionStateMsg{state: lost, err: err})
		}
		summary, failed := f.probe(ctx, err)
		pause := f.poll
		if failed == nil {
			failures = 0
			f.send(summaryMsg{summary: summary})
			f.send(connectionStateMsg{state: polling, err: err, next: pause})
		} else {
			pause = f.backoff(failures)
			failures++
			f.send(connectionStateMsg{state: offline, err: failed, next: pause})
		}
		f.wait(ctx, pause)
	}
}

// probe requests the summary, unless the server is known to be unreachable.
func (f *feed) probe(ctx context.Context, err error) (client.Summary, error) {
	if unreached, ok := errors.AsType[*client.UnreachableError](err); ok && !unreached.Sent {
		return client.Summary{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return f.server.Summary(ctx, localtime.MonthStart(f.clock()))
}

// streamPlace is the position up to which the stream of one user was read.
type streamPlace struct {
	user client.ID
	last string // id of the last event, "" to start with new events
}

func (f *feed) wait(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.retryNow:
	case <-ctx.Done():
	}
}

// follow reads one stream to its end. Missed events come first. The summary is always fetched as
// well, since a change may be older than the first event that the server still has.
func (f *feed) follow(ctx context.Context, place *streamPlace, connected func()) error {
	asking, cancel := context.WithTimeout(ctx, requestTimeout)
	me, err := f.server.Me(asking)
	cancel()
	if err != nil {
		return err
	}
	if place.user != me.Id {
		*place = streamPlace{user: me.Id}
	}
	f.send(meMsg{me})
	stream, err := f.server.Events(ctx, client.EventOptions{Since: place.last, Ops: me.Role == client.UserRoleOperator})
	if forbidden(err) { // a token of narrower scope than its owner
		stream, err = f.server.Events(ctx, client.EventOptions{Since: place.last})
	}
	if err != nil {
		place.last = forget(place.last, err)
		return err
	}
	defer stream.Close()
	connected()

	events, ended := make(chan client.Event, maxBatch), make(chan error, 1)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for {
			event, err := stream.Next()
			if err != nil {
				ended <- err
				close(events)
				return
			}
			select {
			case events <- event:
			case <-reading.Done():
				return
			}
		}
	}()
	for event := range events {
		batch := f.gather(ctx, event, events)
		for _, e := range batch {
			if e.ID != "" {
				place.last = e.ID
			}
			if e.Type == client.EventLive {
				f.send(connectionStateMsg{state: live})
			}
		}
		f.send(eventsMsg{batch})
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return <-ended
}

// gather waits a moment for further events.
func (f *feed) gather(ctx context.Context, first client.Event, events <-chan client.Event) []client.Event {
	batch := []client.Event{first}
	timer := time.NewTimer(f.batch)
	defer timer.Stop()
	for len(batch) < maxBatch {
		select {
		case event, more := <-events:
			if !more {
				return batch
			}
			batch = append(batch, event)
		case <-timer.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// forget drops a position that the server does not know, for example after its data was replaced.
func forget(last string, err error) string {
	if refused, ok := asRefusal(err); ok && refused.Code == client.ParameterMalformed {
		return ""
	}
	return last
}
