package ledger

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/problem"
)

// What happens when another session keeps a row locked:
//
//	batch ──lock_timeout──► findLocked says which rows ──► their commands are parked,
//	                                                       the others are committed
//	new command ──touches such a row──► parked at once
//	watchLocks ──every 50 ms: is the row free?──► yes: its commands go to the head of the line
//	                                         └──► no, and the time is up: unavailable
const (
	// parkedFor is how long a command waits for a row that another session keeps locked,
	// after the batch that has found it so. Then its caller gets Unavailable: nothing was done.
	parkedFor = 2 * time.Second
	maxParked = 512 // commands that may wait for locked rows; beyond it they are refused at once
)

var errRowLocked = errors.New("another database session keeps the row locked")

func rowLocked() *problem.Error {
	return &problem.Error{
		Code: Unavailable, Cause: errRowLocked,
		Message: "another database session keeps one of the accounts locked; nothing was done, try again in a moment",
	}
}

// rowRef names what a batch locks: an account, or else a transfer with its payment.
type rowRef struct {
	account  int64
	transfer uuid.UUID
}

// rowsOf are the rows that a command needs locks of.
func rowsOf(c *command) [3]rowRef {
	return [3]rowRef{{account: c.debit}, {account: c.credit}, {transfer: c.target}}
}

// lockedRow is a row that another session keeps locked.
type lockedRow struct {
	since    time.Time
	blockers []int32 // process ids of the sessions in the way, as far as they are known
	reported bool
}

// parking holds the commands that wait for locked rows. It is a part of intake, under
// its lock.
type parking struct {
	locked map[rowRef]*lockedRow
	parked []*waiting
}

func newParking() parking { return parking{locked: make(map[rowRef]*lockedRow)} }

// mustWait tells whether a command touches a row that is known to be locked.
func (p *parking) mustWait(c *command) bool {
	if len(p.locked) == 0 {
		return false
	}
	for _, row := range rowsOf(c) {
		if p.locked[row] != nil {
			return true
		}
	}
	return false
}

// park keeps a command until its rows are free or giveUp, which does not move when the
// command is parked again; false if there is no place for it.
func (p *parking) park(w *waiting, giveUp time.Time) bool {
	if len(p.parked) >= maxParked {
		return false
	}
	if w.giveUp.IsZero() {
		w.giveUp = giveUp
	}
	p.parked = append(p.parked, w)
	return true
}

// lock notes that rows are locked, and parks what touches them: of a batch, which is
// under way until deadline, and of the line. rest is what is left of the batch; refused is
// what there was no place for.
func (n *intake) lock(rows []rowRef, batch []*waiting, deadline time.Time) (rest, refused []*waiting) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, row := range rows {
		if n.parking.locked[row] == nil {
			n.parking.locked[row] = &lockedRow{since: time.Now()}
		}
	}
	soon := time.Now().Add(parkedFor)
	for _, w := range batch {
		giveUp := deadline // what may have been committed is waited for as long as there is time
		if !w.command.unsure && soon.Before(deadline) {
			giveUp = soon
		}
		switch {
		case !n.parking.mustWait(w.command):
			rest = append(rest, w)
		case !n.parking.park(w, giveUp):
			refused = append(refused, w)
		}
	}
	n.queue = slices.DeleteFunc(n.queue, func(w *waiting) bool {
		if !n.parking.mustWait(w.command) {
			return false
		}
		if !n.parking.park(w, soon) {
			refused = append(refused, w)
		}
		return true
	})
	n.fresh = min(n.fresh, len(n.queue))
	n.parkedNow.Broadcast()
	return rest, refused
}

// unlock notes that rows are free again and moves the commands that waited for them, and
// for no other, to the head of the line.
func (n *intake) unlock(rows []rowRef) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, row := range rows {
		delete(n.parking.locked, row)
	}
	var free []*waiting
	n.parking.parked = slices.DeleteFunc(n.parking.parked, func(w *waiting) bool {
		if n.parking.mustWait(w.command) {
			return false
		}
		free = append(free, w)
		return true
	})
	n.queue = append(free, n.queue...)
	n.fresh += len(free)
	n.changed.Broadcast()
}

// expired takes the parked commands out whose time is up.
func (n *intake) expired(now time.Time) (late []*waiting) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.parking.parked = slices.DeleteFunc(n.parking.parked, func(w *waiting) bool {
		if now.Before(w.giveUp) {
			return false
		}
		late = append(late, w)
		return true
	})
	n.changed.Broadcast() // the line may be closed, and empty now
	return late
}

func (n *intake) anyParked() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.parking.parked) > 0
}

// awaitLocked waits until rows are locked and gives them; false says that the line is
// closed and no command waits for a row.
func (n *intake) awaitLocked() ([]rowRef, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case n.closed && len(n.parking.parked) == 0:
			return nil, false
		case len(n.parking.locked) > 0:
			return slices.Collect(maps.Keys(n.parking.locked)), true
		}
		n.parkedNow.Wait()
	}
}

// rowsInLine are the rows of a batch and of the commands in line, but those of other batches
// under way, each once.
func (n *intake) rowsInLine(batch []*waiting) []rowRef {
	n.mu.Lock()
	defer n.mu.Unlock()
	rows := make(map[rowRef]struct{}, 2*(len(batch)+len(n.queue)))
	add := func(c *command) {
		for _, row := range rowsOf(c) {
			if row != (rowRef{}) {
				rows[row] = struct{}{}
			}
		}
	}
	for _, w := range batch {
		add(w.command)
	}
	for _, w := range n.queue {
		if !n.busy.touchedBy(w.command) { // else our own batches have them locked
			add(w.command)
		}
	}
	return slices.Collect(maps.Keys(rows))
}

// lockedAccounts are the accounts that other sessions keep locked.
func (n *intake) lockedAccounts() []int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	accounts := make([]int64, 0, len(n.parking.locked))
	for row := range n.parking.locked {
		if row.account != 0 {
			accounts = append(accounts, row.account)
		}
	}
	return accounts
}
