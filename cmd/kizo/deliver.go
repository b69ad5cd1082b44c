package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

// A delivery passes the events of a user to a receiver, one after the other. It moves a cursor on
// disk after the receiver has accepted an event, and not before: after a crash, the receiver may
// get the last event again, and misses none.
//
//	stream ─► event ─► send, until it is accepted ─► cursor, with fsync ─► next event
type delivery struct {
	opts   *eventsOptions
	target string // the receiver
	shown  string // a short name of the receiver, for the names of files
	path   string // of the cursor; empty: beside the other ones

	// send returns nil when the receiver has accepted an event, and an error to end the delivery.
	send func(ctx context.Context, e client.Event) error
	// accepted is called after the cursor has moved.
	accepted func(e client.Event) error
	// begin is called with the cursor's name before the first event.
	begin func(dir, name string) error
}

func (d *delivery) run(ctx context.Context) error {
	a := d.opts.app
	since, err := d.opts.begin()
	if err != nil {
		return err
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	user, err := kizo.Me(ctx)
	if err != nil {
		return err
	}
	dir, err := a.cursorDir()
	if err != nil {
		return err
	}
	want := cursorFile{Server: kizo.Server(), User: user.Id.String(), Target: d.target}
	name := cursorName(want, d.shown)
	if d.path == "" {
		d.path = filepath.Join(dir, name+".json")
	}
	at, err := openCursor(ctx, d.path, want)
	if err != nil {
		return err
	}
	defer at.unlock()
	if err := d.begin(dir, name); errors.Is(err, errFollowed) {
		return nil
	} else if err != nil {
		return err
	}
	if at.held.After == "" {
		// From here on, the same command starts there, whenever it is repeated.
		if err := at.move(since); err != nil {
			return err
		}
	} else if since != "" {
		a.io.note("kizo continues after the cursor %s; --since was for the first start.", printable.Text(d.path))
	}
	return d.follow(ctx, kizo, at)
}

func (d *delivery) follow(ctx context.Context, kizo *client.Client, at *cursor) error {
	ready := false
	f := &follower{opts: d.opts, kizo: kizo, since: at.held.After, pause: time.Second, sleep: sleep}
	f.each = func(e client.Event) error {
		if err := d.send(ctx, e); err != nil {
			return err
		}
		if err := at.move(e.ID); err != nil {
			return err
		}
		return d.accepted(e)
	}
	f.caughtUp = func(position string) error {
		if !ready && !d.opts.untilLive {
			ready = true
			d.opts.app.io.note("Waiting for events; the cursor is %s.", printable.Text(d.path))
		}
		return at.move(position)
	}
	return f.follow(ctx)
}

// eventJSON is an event as one line, as kizo events prints it.
func eventJSON(e client.Event) (json.RawMessage, error) {
	text, err := json.Marshal(eventLine{EventID: e.ID, At: e.At, Transfer: *e.Transfer})
	return printable.JSON(text), err
}

// backoff is the time before the next attempt: it doubles from first to longest with the number of
// failures, and half of it is random.
func backoff(failures int, first, longest time.Duration) time.Duration {
	pause := min(first<<min(failures-1, 20), longest)
	return pause/2 + rand.N(pause/2+1) //nolint:gosec // jitter
}

// errDelivery ends a delivery whose receiver does not accept an event.
func errDelivery(e client.Event, why error) error {
	return &exitError{exit: exitFailure, code: "event_not_accepted", err: errors.Join(
		errors.New("the receiver did not accept event "+printable.Text(e.ID)+"; the cursor stays before it"), why)}
}
