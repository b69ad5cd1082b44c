package tui

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/localtime"
)

// feed keeps the dashboard told, for ever: by the stream of events while there is one, by asking every two seconds while
// only that works, and by knocking with growing pauses while nothing does.
//
//	     ┌────────── stream ends ───────────┐
//	     ▼                                  │
//	connect ──stream──► LIVE ───events──────┘
//	     │ refused, but requests work
//	     ├──► POLL, 2 s ──► connect
//	     ├──► OFFLINE, back-off ──► connect
//	     └──► no session, until there is one ──► connect
//
// Run sends from one goroutine and stops with its context. What a burst of events brings is one message.
type feed struct {
	server   Server
	clock    func() time.Time
	send     func(any) // gives a message to the program; it may block
	retryNow chan struct{}
	batch    time.Duration
	poll     time.Duration
	backoff  func(failures int) time.Duration
}

// eventsMsg is what happened since the last one, in order.
type eventsMsg struct{ events []client.Event }

// lineMsg says how the server can be had.
type connectionStateMsg struct {
	state connectionState
	err   error
	next  time.Duration // until it is tried again
}

// summaryMsg is the answer of the server to what the screens show.
type summaryMsg struct {
	summary client.Summary
	err     error
}

// meMsg says who the user is.
type meMsg struct{ me client.User }

// loggedOutMsg says that there is no session.
type loggedOutMsg struct{ err error }

const (
	// maxBatch bounds the events of one message, and so what is held between the line and the screen.
	maxBatch   = 512
	batchPause = 50 * time.Millisecond
	pollPause  = 2 * time.Second
	// loggedOutPause is the time between two looks for a session that was begun elsewhere.
	loggedOutPause = 5 * time.Second
)

func newFeed(server Server, clock func() time.Time, send func(any)) *feed {
	return &feed{server: server, clock: clock, send: send, retryNow: make(chan struct{}, 1), batch: batchPause, poll: pollPause, backoff: backoff}
}

// backoff grows from half a second to fifteen, with full jitter above a tenth, so that a server that comes back is not met by
// all at once.
func backoff(failures int) time.Duration {
	most := min(15*time.Second, 500*time.Millisecond<<min(failures, 6))
	return most/10 + rand.N(most*9/10) //nolint:gosec // a pause is no secret
}

// now has the next attempt made at once.
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
			f.wait(ctx, loggedOutPause) // somebody may log in elsewhere
			continue
		}
		// The line is down: whether requests work decides what is shown, and brings what the stream would have.
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

// probe asks for the summary, unless it is known already that nobody is there.
func (f *feed) probe(ctx context.Context, err error) (client.Summary, error) {
	var unreached *client.UnreachableError
	if errors.As(err, &unreached) && !unreached.Sent {
		return client.Summary{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return f.server.Summary(ctx, localtime.MonthStart(f.clock()))
}

// streamPlace is how far the stream of one user was read.
type streamPlace struct {
	user client.ID
	last string // id of the last event, "" for from now on
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

// follow reads one stream to its end. Events that were missed come first; the summary is fetched anew in any case, since what
// happened may be longer ago than the first event that is told.
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

// gather waits a moment for what comes along with an event.
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

// forget gives up a place in the stream that the server does not know, as after its data were set up anew.
func forget(last string, err error) string {
	if refused, ok := asRefusal(err); ok && refused.Code == client.ParameterMalformed {
		return ""
	}
	return last
}
