package ledger

import (
	"slices"
	"sync"
)

// waiting is a command in line, and where its outcome goes.
type waiting struct {
	command *command
	outcome chan outcome // room for one: the committer never waits for a caller
}

// worthWhile is how many commands make a batch beside another: as many as cost about
// what a batch costs by itself (docs/decisions.md).
const worthWhile = 24

// intake is where commands wait, and decides which of them go together.
//
// A committer that has nothing beside it takes whatever waits. Beside a batch that is
// under way, another is worth its fixed costs only if it is not small, and only without
// that batch's accounts: it would stand at their locks until the first is committed.
// The locks are what keeps the books right; this only keeps committers out of each
// other's way, and knows nothing of other processes.
type intake struct {
	most    int // commands that may wait
	beside  int // commands that make a batch worth while beside another
	mu      sync.Mutex
	changed sync.Cond
	queue   []*waiting // in the order in which they came
	fresh   int        // of these, how many came since nobody found enough of them
	under   int        // batches under way
	inThem  int        // commands in those
	busy    accounts   // of the batches under way
	passed  accounts   // of the commands that apart passes over
	closed  bool
}

type accounts map[int64]struct{}

func (a accounts) add(c *command) { a[c.debit], a[c.credit] = struct{}{}, struct{}{} }

func (a accounts) touchedBy(c *command) bool {
	_, debit := a[c.debit]
	_, credit := a[c.credit]
	return debit || credit
}

func newIntake(most, beside int) *intake {
	n := &intake{most: most, beside: beside, busy: make(accounts), passed: make(accounts)}
	n.changed.L = &n.mu
	return n
}

func (n *intake) join(w *waiting) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return fail(Unavailable, "the ledger is shutting down; try again in a moment")
	case len(n.queue) >= n.most:
		return fail(Unavailable, "too many commands are waiting; try again in a moment")
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
		case n.closed && len(n.queue) == 0:
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
	n.under--
	n.inThem -= len(batch)
	n.fresh = len(n.queue)
	n.changed.Broadcast()
}

// enough commands make a batch beside another: a quarter of all that there are, so that
// batches grow with the load, and not less than what is worth while.
func (n *intake) enough() int { return max(n.beside, (len(n.queue)+n.inThem)/4) }

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
	return batch
}

func (n *intake) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.changed.Broadcast()
}

func (n *intake) len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.queue)
}
