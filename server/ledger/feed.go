package ledger

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/problem"
)

// feed reads the events once for all who listen in this process.
//
//	commit ─► nudge ─┐                      ┌─► listener of alice ─► her stream
//	tick, 25–50 ms ──┴─► tail: one page ────┼─► listener of alice
//	                     below the horizon  └─► listener of bob
//
// Nobody listens: nothing runs. A listener whose buffer is full is cut off, so that
// it holds up nobody; it goes on from the table.
type feed struct {
	ledger *Ledger
	wake   chan struct{}

	mu        sync.Mutex
	listeners map[uuid.UUID]map[*Listener]struct{} // by user
	count     int
	position  Position // what comes after it will be told to all who are listening now
	running   bool
	closed    bool
	pages     int // read so far

	ending context.Context
	end    context.CancelFunc
	done   sync.WaitGroup
}

// Bounds and paces of the feed.
const (
	feedPage     = 1000 // events read at once
	feedBuffer   = 512  // events that may wait for one listener
	feedOwners   = 1 << 18
	pollBusy     = 25 * time.Millisecond
	pollQuiet    = 50 * time.Millisecond
	pollAtMost   = 5 * time.Millisecond // between two pages, however often we are nudged
	pollAway     = 250 * time.Millisecond
	feedPatience = 5 * time.Second // with one statement
)

// Listener gets the events that its user may see, as they happen.
type Listener struct {
	// Events is closed when the listener has been cut off: it was too slow, or the
	// ledger is closing.
	Events <-chan *Event
	// From is where it began: what comes after it is sent to Events.
	From Position
	// Horizon is that of the moment: no event that anybody was told lies behind it.
	Horizon Position
	// End is behind all that was committed before: once the horizon has got there, all
	// of it can be read.
	End Position

	events chan *Event
	user   uuid.UUID
	feed   *feed
}

func newFeed(l *Ledger) *feed {
	f := &feed{ledger: l, wake: make(chan struct{}, 1), listeners: make(map[uuid.UUID]map[*Listener]struct{})}
	f.ending, f.end = context.WithCancel(context.Background())
	return f
}

// Listen begins to listen for a user. Close the Listener. Too many of one user are
// TooManyStreams, too many in all Unavailable.
func (l *Ledger) Listen(ctx context.Context, user uuid.UUID) (*Listener, error) {
	f := l.feed
	horizon, end, err := l.edges(ctx)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, problem.New(Unavailable, "the server is shutting down; try again in a moment")
	case f.count >= l.config.MaxListeners:
		return nil, problem.New(Unavailable, "too many are listening; try again in a moment")
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

// Close stops listening. It may be called twice.
func (x *Listener) Close() {
	x.feed.mu.Lock()
	defer x.feed.mu.Unlock()
	x.feed.drop(x)
}

// drop is called under the lock.
func (f *feed) drop(x *Listener) {
	if _, there := f.listeners[x.user][x]; !there {
		return
	}
	delete(f.listeners[x.user], x)
	if len(f.listeners[x.user]) == 0 {
		delete(f.listeners, x.user)
	}
	f.count--
	close(x.events)
}

// nudge says that something was committed here. It never blocks.
func (f *feed) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// close cuts off all listeners and waits for the tail.
func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	for _, of := range f.listeners {
		for x := range of {
			f.drop(x)
		}
	}
	f.mu.Unlock()
	f.end()
	f.done.Wait()
}

// tail reads page after page while anybody listens.
func (f *feed) tail() {
	owners := make(map[int64]uuid.UUID)
	wait, failing := pollBusy, false
	lastEvent := time.Now()
	for f.listened() {
		began := time.Now()
		read, err := f.page(owners)
		switch {
		case f.ending.Err() != nil:
			return
		case err != nil:
			wait = pollAway
			if !failing {
				f.ledger.log.Warn("events cannot be read", "error", err)
			}
		case read > 0:
			wait, lastEvent = pollBusy, began
		case began.Sub(lastEvent) > time.Second:
			wait = pollQuiet
		}
		if failing && err == nil {
			f.ledger.log.Info("events can be read again")
		}
		failing = err != nil
		if read < feedPage {
			f.rest(began, wait, failing)
		}
	}
}

// rest waits for a nudge or for so long, and for a moment at least.
func (f *feed) rest(since time.Time, wait time.Duration, deaf bool) {
	wake := f.wake
	if deaf {
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
	if soon := pollAtMost - time.Since(since); soon > 0 {
		timer.Reset(soon)
		select {
		case <-timer.C:
		case <-f.ending.Done():
		}
	}
}

// listened tells whether anybody listens; if not, the tail has to end.
func (f *feed) listened() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = f.count > 0 && !f.closed
	return f.running
}

// page reads one page, tells it to those whom it concerns, and says how long it was.
func (f *feed) page(owners map[int64]uuid.UUID) (int, error) {
	f.mu.Lock()
	from := f.position
	f.pages++
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(f.ending, feedPatience)
	defer cancel()
	heads, err := f.ledger.after(ctx, from, feedPage)
	if err != nil || len(heads) == 0 {
		return 0, err
	}
	if err := f.learn(ctx, owners, heads); err != nil {
		return 0, err
	}
	wanted := f.claim(heads, owners)
	if len(wanted) == 0 {
		return len(heads), nil
	}
	events, err := f.ledger.tell(ctx, wanted, owners)
	for err != nil { // they are claimed: nobody else will tell them
		f.ledger.log.Warn("events cannot be told yet", "error", err)
		f.rest(time.Now(), pollAway, true)
		if f.ending.Err() != nil {
			return 0, f.ending.Err()
		}
		ctx, cancel := context.WithTimeout(f.ending, feedPatience)
		events, err = f.ledger.tell(ctx, wanted, owners)
		cancel()
	}
	f.send(events)
	return len(heads), nil
}

// learn finds out whose the accounts are that we have not met. That never changes.
func (f *feed) learn(ctx context.Context, owners map[int64]uuid.UUID, heads []eventHead) error {
	if len(owners) > feedOwners {
		clear(owners)
	}
	var unknown []int64
	for i := range heads {
		for _, account := range []int64{heads[i].debit, heads[i].credit} {
			if _, known := owners[account]; !known {
				owners[account] = uuid.Nil // the house's, unless somebody has it
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

// claim moves the position over a page and gives those of its events that somebody
// listens for. Both at once: whoever begins to listen after it finds the page in
// the table, whoever did before is told.
func (f *feed) claim(heads []eventHead, owners map[int64]uuid.UUID) (wanted []eventHead) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range heads {
		if f.listeners[owners[heads[i].debit]] != nil || f.listeners[owners[heads[i].credit]] != nil {
			wanted = append(wanted, heads[i])
		}
	}
	f.position = heads[len(heads)-1].position
	return wanted
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

func (f *feed) sendTo(user uuid.UUID, e *Event) {
	if !e.ShownTo(user) {
		return
	}
	for x := range f.listeners[user] {
		if !e.Position.After(x.From) {
			continue // it began after the page was claimed
		}
		select {
		case x.events <- e:
		default:
			f.ledger.log.Info("a listener is too slow and was cut off")
			f.drop(x)
		}
	}
}
