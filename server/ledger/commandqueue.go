package ledger

import (
	"slices"
	"sync"
	"time"

	"github.com/JDevAman/kizo/server/problem"
)

// queuedCommand is a command that waits for a batch, and the channel that receives its outcome.
type queuedCommand struct {
	command *command
	outcome chan outcome // buffered, so that the committer never waits for a caller
	// lockDeadline is when the command is rejected if a row that it needs is still locked.
	// It is zero until the command has had to wait for a locked row.
	lockDeadline time.Time
	bulk         bool // part of a batch request: it waits while single commands fill the batches
	inBatch      bool // taken out of the queue by startBatch
}

// minParallelBatch is the smallest batch that is started while another one is being
// committed: as many commands as cost about what a batch costs by itself
// (docs/decisions.md).
const minParallelBatch = 24

// stalledAfter is how long a batch is in flight before the next one may be smaller than
// minParallelBatch. A batch that waits for a lock, or for a slow statement, must not hold up
// commands that touch none of its accounts.
const stalledAfter = 200 * time.Millisecond

// maxWithBulk is the size of a batch above which no bulk command is added to it. Single commands go
// first: their callers wait for one payment, and a larger batch would take longer for them.
const maxWithBulk = 128

// maxPassedOver is how many batches may begin without the first bulk command that waits. The next
// one then begins with bulkTurn of them, however many single commands there are.
const (
	maxPassedOver = 3
	bulkTurn      = 125
)

// maxBulkScanned is how many bulk commands disjointBatch looks at.
const maxBulkScanned = 2048

// commandQueue holds the commands that wait for a batch, and decides which of them form the
// next one.
//
// A committer takes every waiting command if no batch is in flight. While another batch is
// in flight, a second one is worth its fixed costs only if it is large enough or if the first
// has stalled. It then contains only commands that touch no account of a batch in flight,
// since it would wait for their locks. The locks in PostgreSQL keep the books correct; the
// queue only keeps committers from waiting for each other, and does not know about other
// processes.
//
// Commands that touch a row which another session keeps locked wait apart from the others
// until the row is free (locked.go), so that at most one batch waits for it.
type commandQueue struct {
	maxQueued        int // single commands that may wait, and bulk ones
	minParallel      int // commands in the smallest batch beside another one
	mu               sync.Mutex
	changed          sync.Cond
	commands         []*queuedCommand               // single ones, in the order of arrival
	bulk             []*queuedCommand               // in the order of arrival
	bulkSize         int                            // bulk commands, each of an atomic group counted
	passedOver       int                            // batches since the first bulk command could have been in one
	unscanned        int                            // commands queued since the last scan that found too few
	inFlight         int                            // batches taken and not yet done
	stalled          int                            // of these, batches in flight for longer than stalledAfter
	stallTimers      map[*queuedCommand]*stallTimer // by the first command of the batch
	inFlightCommands int                            // commands in the batches in flight
	busyAccounts     accountSet                     // accounts of the batches in flight
	skippedAccounts  accountSet                     // accounts of the commands that disjointBatch skips
	closed           bool
	locked           lockedRows
	lockedChanged    sync.Cond // signals that locked.rows or closed has changed
}

// stallTimer belongs to a batch in flight.
type stallTimer struct {
	timer *time.Timer
	fired bool
}

type accountSet map[AccountID]struct{}

func (s accountSet) add(c *command) {
	for _, part := range c.group {
		s.add(part)
	}
	if c.group == nil {
		s[c.debit], s[c.credit] = struct{}{}, struct{}{}
	}
}

func (s accountSet) remove(c *command) {
	for _, part := range c.group {
		s.remove(part)
	}
	delete(s, c.debit)
	delete(s, c.credit)
}

func (s accountSet) touchedBy(c *command) bool {
	if c.group != nil {
		return slices.ContainsFunc(c.group, s.touchedBy)
	}
	_, debit := s[c.debit]
	_, credit := s[c.credit]
	return debit || credit
}

func newCommandQueue(maxQueued, minParallel int) *commandQueue {
	q := &commandQueue{
		maxQueued: maxQueued, minParallel: minParallel,
		stallTimers: make(map[*queuedCommand]*stallTimer), busyAccounts: make(accountSet),
		skippedAccounts: make(accountSet), locked: newLockedRows(),
	}
	q.changed.L, q.lockedChanged.L = &q.mu, &q.mu
	return q
}

// enqueue adds a command. It fails with Unavailable if the queue is full or closed.
func (q *commandQueue) enqueue(c *queuedCommand) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return problem.New(Unavailable, "the ledger is shutting down; try again in a moment")
	case q.locked.blocks(c.command):
		if !q.locked.addWaiting(c, time.Now().Add(lockWait)) {
			return lockedRowError()
		}
		return nil
	case !c.bulk && len(q.commands) >= q.maxQueued,
		c.bulk && q.bulkSize > 0 && q.bulkSize+c.command.size() > q.maxQueued:
		return problem.New(Unavailable, "too many commands are waiting; try again in a moment")
	}
	if c.bulk {
		q.bulk = append(q.bulk, c)
		q.bulkSize += c.command.size()
	} else {
		q.commands = append(q.commands, c)
	}
	q.unscanned += c.command.size()
	if q.inFlight == 0 || q.unscanned >= q.minBatch() {
		q.changed.Signal()
	}
	return nil
}

// nextBatch waits for a batch and returns it, with at most maxCommands commands. It returns
// nil when the queue is closed and empty. The caller must call batchDone with the result.
func (q *commandQueue) nextBatch(maxCommands int) []*queuedCommand {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.inFlight == 0 && len(q.commands)+len(q.bulk) > 0:
			batch := q.startBatch(q.disjointBatch(maxCommands))
			q.unscanned = q.waiting()
			return batch
		case q.unscanned >= q.minBatch():
			q.unscanned = 0
			if disjoint := q.disjointBatch(maxCommands); size(disjoint) >= q.minBatch() {
				return q.startBatch(disjoint)
			}
		case q.closed && len(q.commands)+len(q.bulk) == 0 && len(q.locked.waiting) == 0:
			return nil
		}
		q.changed.Wait()
	}
}

// batchDone ends a batch that nextBatch returned.
func (q *commandQueue) batchDone(batch []*queuedCommand) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range batch {
		q.busyAccounts.remove(c.command)
	}
	timer := q.stallTimers[batch[0]]
	delete(q.stallTimers, batch[0])
	timer.timer.Stop()
	if timer.fired {
		q.stalled--
	}
	q.inFlight--
	q.inFlightCommands -= size(batch)
	q.unscanned = q.waiting()
	q.changed.Broadcast()
}

// minBatch returns how many commands a batch needs while another one is in flight: a quarter
// of all commands, so that batches grow with the load, and at least minParallel. One is
// enough if all batches in flight have stalled.
func (q *commandQueue) minBatch() int {
	if q.inFlight > 0 && q.stalled == q.inFlight {
		return 1
	}
	return max(q.minParallel, (len(q.commands)+q.inFlightCommands)/4)
}

// disjointBatch returns the first commands that touch no account of a batch in flight, nor of an
// earlier command that has to wait. Commands on one account therefore keep their order, but for
// bulk commands: those come after the single ones, while the batch has at most maxWithBulk
// commands, unless the first of them was passed over too often. They have no order among
// themselves: otherwise one busy payee would hold up all rows of its sender. An atomic group that
// is larger than the maximum is a batch by itself.
func (q *commandQueue) disjointBatch(maxCommands int) []*queuedCommand {
	clear(q.skippedAccounts)
	var (
		found []*queuedCommand
		total int
	)
	add := func(waiting []*queuedCommand, limit int) {
		for _, c := range waiting {
			n := c.command.size()
			switch {
			case total > 0 && total+n > limit:
				return
			case q.inFlight > 0 && (q.busyAccounts.touchedBy(c.command) || q.skippedAccounts.touchedBy(c.command)):
				if !c.bulk || c == q.bulk[0] && q.passedOver >= maxPassedOver {
					q.skippedAccounts.add(c.command)
				}
			default:
				found = append(found, c)
				total += n
			}
		}
	}
	bulk := q.bulk[:min(len(q.bulk), maxBulkScanned)]
	if q.passedOver >= maxPassedOver {
		first := min(len(bulk), bulkTurn)
		add(bulk[:first], bulkTurn)
		bulk = bulk[first:]
	}
	add(q.commands, maxCommands)
	add(bulk, min(maxCommands, maxWithBulk))
	return found
}

// startBatch moves the chosen commands out of the queue into a batch in flight.
func (q *commandQueue) startBatch(batch []*queuedCommand) []*queuedCommand {
	for _, c := range batch {
		c.inBatch = true
		q.busyAccounts.add(c.command)
	}
	switch {
	case len(q.bulk) == 0 || q.bulk[0].inBatch:
		q.passedOver = 0
	default:
		q.passedOver++
	}
	taken := func(c *queuedCommand) bool { return c.inBatch }
	q.commands, q.bulk = slices.DeleteFunc(q.commands, taken), slices.DeleteFunc(q.bulk, taken)
	q.bulkSize = size(q.bulk)
	q.inFlight++
	q.inFlightCommands += size(batch)
	timer := new(stallTimer)
	timer.timer = time.AfterFunc(stalledAfter, func() { q.markStalled(batch[0], timer) })
	q.stallTimers[batch[0]] = timer
	return batch
}

// size returns the number of commands, each of an atomic group counted.
func size(commands []*queuedCommand) int {
	n := 0
	for _, c := range commands {
		n += c.command.size()
	}
	return n
}

// waiting returns the number of commands that wait for a batch, but for those that wait for a
// locked row.
func (q *commandQueue) waiting() int { return len(q.commands) + q.bulkSize }

// markStalled records that the batch with this first command has been in flight for
// stalledAfter.
func (q *commandQueue) markStalled(first *queuedCommand, timer *stallTimer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stallTimers[first] != timer {
		return // the batch is done
	}
	timer.fired = true
	q.stalled++
	q.unscanned = q.waiting()
	q.changed.Broadcast()
}

// close makes enqueue fail. Commands that are queued are still committed.
func (q *commandQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
	q.lockedChanged.Broadcast()
}

func (q *commandQueue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting()
}
