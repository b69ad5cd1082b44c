package ledger

import (
	"slices"
	"sync"
	"time"

	"github.com/JDevAman/kizo/server/problem"
)

// waiting is a command in line, and where its outcome goes.
type waiting struct {
	command *command
	outcome chan outcome // room for one: the committer never waits for a caller
	giveUp  time.Time    // when a parked command is answered at the latest; zero until it is parked
}

// worthWhile is how many commands make a batch beside another: as many as cost about
// what a batch costs by itself (docs/decisions.md).
const worthWhile = 24

// stalledAfter is how long a batch is under way before the next one no longer has to be
// worth its fixed costs: a batch that waits for a lock, or for a slow statement, must not
// hold up commands that touch none of its accounts.
const stalledAfter = 200 * time.Millisecond

// intake is where commands wait, and decides which of them go together.
//
// A committer that has nothing beside it takes whatever waits. Beside a batch that is
// under way, another is worth its fixed costs only if it is not small, or if that batch
// has stalled, and only without that batch's accounts: it would stand at their locks until
// the first is committed. The locks are what keeps the books right; this only keeps
// committers out of each other's way, and knows nothing of other processes.
//
// Commands that touch a row which another session keeps locked are parked until that row
// is free (locked.go): no batch waits for it twice.
type intake struct {
	most      int // commands that may wait
	beside    int // commands that make a batch worth while beside another
	mu        sync.Mutex
	changed   sync.Cond
	queue     []*waiting // in the order in which they came
	fresh     int        // of these, how many came since nobody found enough of them
	under     int        // batches under way
	stalled   int        // of these, how many for longer than stalledAfter
	timers    map[*waiting]*stallTimer
	inThem    int      // commands in those batches
	busy      accounts // of the batches under way
	passed    accounts // of the commands that apart passes over
	closed    bool
	parking   parking
	parkedNow sync.Cond // parking.locked or closed has changed
}

// stallTimer belongs to a batch under way.
type stallTimer struct {
	timer *time.Timer
	fired bool
}

type accounts map[int64]struct{}

func (a accounts) add(c *command) { a[c.debit], a[c.credit] = struct{}{}, struct{}{} }

func (a accounts) touchedBy(c *command) bool {
	_, debit := a[c.debit]
	_, credit := a[c.credit]
	return debit || credit
}

func newIntake(most, beside int) *intake {
	n := &intake{
		most: most, beside: beside, timers: make(map[*waiting]*stallTimer), busy: make(accounts), passed: make(accounts),
		parking: newParking(),
	}
	n.changed.L, n.parkedNow.L = &n.mu, &n.mu
	return n
}

func (n *intake) join(w *waiting) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return problem.New(Unavailable, "the ledger is shutting down; try again in a moment")
	case n.parking.mustWait(w.command):
		if !n.parking.park(w, time.Now().Add(parkedFor)) {
			return rowLocked()
		}
		return nil
	case len(n.queue) >= n.most:
		return problem.New(Unavailable, "too many commands are waiting; try again in a moment")
	}
	n.queue = append(n.queue, w)
	n.fresh++
	if n.under == 0 || n.fresh >= n.enough() {
		n.changed.Signal()
	}
	return nil
}

// take waits for a batch of at most so many commands; nil says that the line is
// closed and empty. Whoever takes a batch says when it is done.
func (n *intake) take(most int) []*waiting {
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case len(n.queue) > 0 && n.under == 0:
			batch := n.leave(n.queue[:min(len(n.queue), most)])
			n.fresh = len(n.queue)
			return batch
		case n.fresh >= n.enough():
			n.fresh = 0
			if apart := n.apart(most); len(apart) >= n.enough() {
				return n.leave(apart)
			}
		case n.closed && len(n.queue) == 0 && len(n.parking.parked) == 0:
			return nil
		}
		n.changed.Wait()
	}
}

func (n *intake) done(batch []*waiting) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range batch {
		delete(n.busy, w.command.debit)
		delete(n.busy, w.command.credit)
	}
	timer := n.timers[batch[0]]
	delete(n.timers, batch[0])
	timer.timer.Stop()
	if timer.fired {
		n.stalled--
	}
	n.under--
	n.inThem -= len(batch)
	n.fresh = len(n.queue)
	n.changed.Broadcast()
}

// enough commands make a batch beside another: a quarter of all that there are, so that
// batches grow with the load, and not less than what is worth while. Beside batches that
// have stalled, one is enough.
func (n *intake) enough() int {
	if n.under > 0 && n.stalled == n.under {
		return 1
	}
	return max(n.beside, (len(n.queue)+n.inThem)/4)
}

// apart is the first commands that touch no account of a batch under way, nor of a
// command that came before them and has to wait: nobody is overtaken on an account.
func (n *intake) apart(most int) []*waiting {
	clear(n.passed)
	var found []*waiting
	for _, w := range n.queue {
		switch {
		case len(found) == most:
			return found
		case n.busy.touchedBy(w.command) || n.passed.touchedBy(w.command):
			n.passed.add(w.command)
		default:
			found = append(found, w)
		}
	}
	return found
}

// leave takes commands, in the order in which they stand there, out of the line, as a
// batch under way.
func (n *intake) leave(chosen []*waiting) []*waiting {
	batch := slices.Clone(chosen)
	stay, left := n.queue[:0], 0
	for _, w := range n.queue {
		if left < len(batch) && w == batch[left] {
			n.busy.add(w.command)
			left++
		} else {
			stay = append(stay, w)
		}
	}
	clear(n.queue[len(stay):])
	n.queue = stay
	n.under++
	n.inThem += len(batch)
	timer := new(stallTimer)
	timer.timer = time.AfterFunc(stalledAfter, func() { n.stall(batch[0], timer) })
	n.timers[batch[0]] = timer
	return batch
}

// stall notes that a batch has been under way for long.
func (n *intake) stall(first *waiting, timer *stallTimer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timers[first] != timer {
		return // it is done
	}
	timer.fired = true
	n.stalled++
	n.fresh = len(n.queue)
	n.changed.Broadcast()
}

func (n *intake) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.changed.Broadcast()
	n.parkedNow.Broadcast()
}

func (n *intake) len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.queue)
}
