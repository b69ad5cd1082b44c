package ledger

import (
	"context"
	"sync"
	"time"

	"github.com/JDevAman/kizo/server/problem"
)

// feed reads new events once for all listeners of this process.
//
//	commit ─► notify ─┐                      ┌─► listener of alice ─► stream of alice
//	tick, 25–50 ms ───┴─► tail: one page ────┼─► listener of alice
//	                      below the horizon  └─► listener of bob
//
// The feed reads only while there are listeners. A listener whose buffer is full is disconnected,
// so that it does not delay the others; it reads the rest from the table.
type feed struct {
	ledger *Ledger
	wake   chan struct{}

	mu        sync.Mutex
	listeners map[UserID]map[*Listener]struct{} // by user
	count     int
	position  Position // later events are sent to all current listeners
	running   bool
	closed    bool
	pages     int // pages read so far

	ending context.Context
	end    context.CancelFunc
	done   sync.WaitGroup
}

// Limits and intervals of the feed.
const (
	feedPage        = 1000 // events read at once
	feedBuffer      = 512  // events that may wait for one listener
	feedOwners      = 1 << 18
	pollActive      = 25 * time.Millisecond
	pollIdle        = 50 * time.Millisecond
	minPollInterval = 5 * time.Millisecond // between two pages, however often notify is called
	pollFailing     = 250 * time.Millisecond
	feedTimeout     = 5 * time.Second // of reading one page
)

// Listener receives the events that its user may see, as they happen.
type Listener struct {
	// Events is closed when the listener was disconnected, because it was too slow or the ledger is
	// closing.
	Events <-chan *Event
	// From is where the listener began: later events are sent to Events.
	From Position
	// Horizon is the horizon at that time: no event after it had been sent to any listener.
	Horizon Position
	// End is after all events that had been committed: once the horizon has reached it, all of
	// them can be read.
	End Position

	events chan *Event
	user   UserID
	feed   *feed
}

func newFeed(l *Ledger) *feed {
	f := &feed{ledger: l, wake: make(chan struct{}, 1), listeners: make(map[UserID]map[*Listener]struct{})}
	f.ending, f.end = context.WithCancel(context.Background())
	return f
}

// Listen starts a listener for a user, which the caller must close. It fails with TooManyStreams if
// the user has too many listeners, and with Unavailable if all users together have too many.
func (l *Ledger) Listen(ctx context.Context, user UserID) (*Listener, error) {
	f := l.feed
	horizon, end, err := l.streamBounds(ctx)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, problem.New(Unavailable, "the server is shutting down; try again in a moment")
	case f.count >= l.config.MaxListeners:
		return nil, problem.New(Unavailable, "too many event streams are open; try again in a moment")
	case len(f.listeners[user]) >= l.config.MaxListenersOfUser:
		return nil, problem.Errorf(TooManyStreams, "you have %d streams open: close one first", len(f.listeners[user]))
	case !f.running:
		f.position, f.running = horizon, true
		f.done.Go(f.tail)
	}
	events := make(chan *Event, feedBuffer)
	x := &Listener{Events: events, From: f.position, Horizon: horizon, End: end, events: events, user: user, feed: f}
	if f.listeners[user] == nil {
		f.listeners[user] = make(map[*Listener]struct{})
	}
	f.listeners[user][x] = struct{}{}
	f.count++
	return x, nil
}

// Close ends the listener. It may be called more than once.
func (x *Listener) Close() {
	x.feed.mu.Lock()
	defer x.feed.mu.Unlock()
	x.feed.drop(x)
}

// drop removes a listener. The caller must hold f.mu.
func (f *feed) drop(x *Listener) {
	if _, ok := f.listeners[x.user][x]; !ok {
		return
	}
	delete(f.listeners[x.user], x)
	if len(f.listeners[x.user]) == 0 {
		delete(f.listeners, x.user)
	}
	f.count--
	close(x.events)
}

// notify tells the feed that this process has committed a batch. It never blocks.
func (f *feed) notify() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// close disconnects all listeners and waits for tail to return.
func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	for _, ofUser := range f.listeners {
		for x := range ofUser {
			f.drop(x)
		}
	}
	f.mu.Unlock()
	f.end()
	f.done.Wait()
}

// tail reads page after page while there are listeners.
func (f *feed) tail() {
	owners := make(map[AccountID]UserID)
	wait, failing := pollActive, false
	lastEvent := time.Now()
	for f.hasListeners() {
		began := time.Now()
		read, err := f.deliverPage(owners)
		switch {
		case f.ending.Err() != nil:
			return
		case err != nil:
			wait = pollFailing
			if !failing {
				f.ledger.log.Warn("events cannot be read", "error", err)
			}
		case read > 0:
			wait, lastEvent = pollActive, began
		case began.Sub(lastEvent) > time.Second:
			wait = pollIdle
		}
		if failing && err == nil {
			f.ledger.log.Info("events can be read again")
		}
		failing = err != nil
		if read < feedPage {
			f.sleep(began, wait, failing)
		}
	}
}

// sleep waits for notify, or for as long as wait. It returns no sooner than minPollInterval after
// since. After a failure, ignoreNotify makes it wait the full time.
func (f *feed) sleep(since time.Time, wait time.Duration, ignoreNotify bool) {
	wake := f.wake
	if ignoreNotify {
		wake = nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return
	case <-f.ending.Done():
		return
	case <-wake:
	}
	if left := minPollInterval - time.Since(since); left > 0 {
		timer.Reset(left)
		select {
		case <-timer.C:
		case <-f.ending.Done():
		}
	}
}

// hasListeners reports whether there are listeners. If there are none, tail must return.
func (f *feed) hasListeners() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = f.count > 0 && !f.closed
	return f.running
}

// deliverPage reads one page, sends it to the listeners that may see it, and returns its length.
func (f *feed) deliverPage(owners map[AccountID]UserID) (int, error) {
	f.mu.Lock()
	from := f.position
	f.pages++
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(f.ending, feedTimeout)
	defer cancel()
	heads, err := f.ledger.eventsAfter(ctx, from, feedPage)
	if err != nil || len(heads) == 0 {
		return 0, err
	}
	if err := f.loadOwners(ctx, owners, heads); err != nil {
		return 0, err
	}
	toDeliver := f.advance(heads, owners)
	if len(toDeliver) == 0 {
		return len(heads), nil
	}
	events, err := f.ledger.loadEvents(ctx, toDeliver, owners)
	for err != nil { // the position is past them: no other page contains them
		f.ledger.log.Warn("events cannot be delivered yet", "error", err)
		f.sleep(time.Now(), pollFailing, true)
		if f.ending.Err() != nil {
			return 0, f.ending.Err()
		}
		ctx, cancel := context.WithTimeout(f.ending, feedTimeout)
		events, err = f.ledger.loadEvents(ctx, toDeliver, owners)
		cancel()
	}
	f.send(events)
	return len(heads), nil
}

// loadOwners adds the owners of the accounts that owners does not contain yet.
func (f *feed) loadOwners(ctx context.Context, owners map[AccountID]UserID, heads []eventHead) error {
	if len(owners) > feedOwners {
		clear(owners)
	}
	var unknown []AccountID
	for i := range heads {
		for _, account := range []AccountID{heads[i].debit, heads[i].credit} {
			if _, known := owners[account]; !known {
				owners[account] = UserID{} // a system account, unless Owners returns it
				unknown = append(unknown, account)
			}
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	found, err := f.ledger.Owners(ctx, unknown)
	if err != nil {
		for _, account := range unknown {
			delete(owners, account)
		}
		return err
	}
	for account, owner := range found {
		owners[account] = owner
	}
	return nil
}

// advance moves the position past a page and returns the events that a listener may see. It does
// both under one lock: a listener that starts later reads the page from the table, and one that
// started before receives it.
func (f *feed) advance(heads []eventHead, owners map[AccountID]UserID) (toDeliver []eventHead) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range heads {
		if f.listeners[owners[heads[i].debit]] != nil || f.listeners[owners[heads[i].credit]] != nil {
			toDeliver = append(toDeliver, heads[i])
		}
	}
	f.position = heads[len(heads)-1].position
	return toDeliver
}

func (f *feed) send(events []*Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		f.sendTo(e.Debtor, e)
		if e.Creditor != e.Debtor {
			f.sendTo(e.Creditor, e)
		}
	}
}

func (f *feed) sendTo(user UserID, e *Event) {
	if !e.ShownTo(user) {
		return
	}
	for x := range f.listeners[user] {
		if !e.Position.After(x.From) {
			continue // the listener started after the position had passed the page
		}
		select {
		case x.events <- e:
		default:
			f.ledger.log.Info("a listener was too slow and was disconnected")
			f.drop(x)
		}
	}
}
