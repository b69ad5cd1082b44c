package ledger

import (
	"slices"
	"testing"
)

// commandOn returns a command on two accounts.
func commandOn(debit, credit AccountID) *queuedCommand {
	return &queuedCommand{command: &command{debit: debit, credit: credit}, outcome: make(chan outcome, 1)}
}

func enqueueAll(t *testing.T, q *commandQueue, commands ...*queuedCommand) {
	t.Helper()
	for _, c := range commands {
		if err := q.enqueue(c); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBatchesInFlightShareNoAccount(t *testing.T) {
	q := newCommandQueue(100, 2)
	first := commandOn(1, 2)
	enqueueAll(t, q, first)
	if batch := q.nextBatch(10); !slices.Equal(batch, []*queuedCommand{first}) {
		t.Fatalf("the first batch is %v, want its only command", batch)
	}
	blocked, behind, free, connected := commandOn(2, 3), commandOn(3, 4), commandOn(5, 6), commandOn(6, 7)
	enqueueAll(t, q, blocked, behind, free, connected)
	second := q.nextBatch(10)
	if !slices.Equal(second, []*queuedCommand{free, connected}) {
		t.Fatalf("while 1→2 is in flight, the batch of 2→3, 3→4, 5→6, 6→7 is %v, want the last two", second)
	}
	q.batchDone([]*queuedCommand{first})
	if third := q.nextBatch(10); !slices.Equal(third, []*queuedCommand{blocked, behind}) {
		t.Fatalf("after 1→2 is done, the batch is %v, want 2→3 and 3→4", third)
	}
}

func TestParallelBatchHasMinimumSize(t *testing.T) {
	q := newCommandQueue(100, 3)
	first := commandOn(1, 2)
	enqueueAll(t, q, first)
	q.nextBatch(10)
	enqueueAll(t, q, commandOn(3, 4), commandOn(1, 5), commandOn(6, 7))
	q.mu.Lock()
	disjoint, unscanned := len(q.disjointBatch(10)), q.unscanned
	q.mu.Unlock()
	if disjoint != 2 || unscanned != 3 {
		t.Fatalf("%d of %d commands share no account with 1→2, want 2 of 3", disjoint, unscanned)
	}
	taken := make(chan []*queuedCommand)
	go func() { taken <- q.nextBatch(10) }()
	// The committer scans the queue once, and scans it again only after three more commands.
	for unscanned != 0 {
		q.mu.Lock()
		unscanned = q.unscanned
		q.mu.Unlock()
	}
	select {
	case batch := <-taken:
		t.Fatalf("a batch of %d commands was started while 1→2 was in flight, want at least 3", len(batch))
	default:
	}
	q.batchDone([]*queuedCommand{first})
	if batch := <-taken; len(batch) != 3 {
		t.Fatalf("with no other batch in flight, the batch has %d commands, want all 3", len(batch))
	}
}

func TestQueueIsBoundedAndDrainsAfterClose(t *testing.T) {
	q := newCommandQueue(2, 10)
	enqueueAll(t, q, commandOn(1, 2), commandOn(3, 4))
	if err := q.enqueue(commandOn(5, 6)); err == nil {
		t.Fatal("a queue of at most 2 commands accepted a third one")
	}
	q.close()
	if err := q.enqueue(commandOn(5, 6)); err == nil {
		t.Fatal("a closed queue accepted a command")
	}
	for range 2 {
		batch := q.nextBatch(1)
		if len(batch) != 1 {
			t.Fatalf("a closed queue that is not empty returned %v", batch)
		}
		q.batchDone(batch)
	}
	if batch := q.nextBatch(1); batch != nil {
		t.Fatalf("a closed and empty queue returned %v", batch)
	}
}

// bulkOn returns a command of a batch request.
func bulkOn(debit, credit AccountID) *queuedCommand {
	c := commandOn(debit, credit)
	c.bulk = true
	return c
}

// groupOf returns an atomic group of n commands between two accounts.
func groupOf(n int, debit, credit AccountID) *queuedCommand {
	group := make([]*command, n)
	for i := range group {
		group[i] = &command{debit: debit, credit: credit}
	}
	return &queuedCommand{command: &command{op: opAtomicGroup, group: group}, bulk: true, outcome: make(chan outcome, 1)}
}

// Single commands go before bulk ones, and every bulk command has its turn.
func TestBulkCommandsWaitForSingleOnesAndHaveTheirTurn(t *testing.T) {
	const maxCommands = 512
	many := make([]*queuedCommand, 500)
	for i := range many {
		many[i] = bulkOn(5, 6)
	}
	for name, last := range map[string][]*queuedCommand{"an atomic group": {groupOf(500, 5, 6)}, "many commands": many} {
		q := newCommandQueue(10_000, 10)
		first := []*queuedCommand{bulkOn(1, 2), groupOf(100, 3, 4)}
		enqueueAll(t, q, first...)
		enqueueAll(t, q, last...)
		single := commandOn(7, 8)
		enqueueAll(t, q, single)
		batch := q.nextBatch(maxCommands)
		if !slices.Equal(batch[:3], append([]*queuedCommand{single}, first...)) || size(batch) > maxWithBulk {
			t.Fatalf("%s: the first batch has %d entries, %d commands", name, len(batch), size(batch))
		}
		q.batchDone(batch)
		next := q.bulk[0]
		// At any time so many single commands wait that no bulk command fits beside them.
		for passed := 0; ; passed++ {
			for len(q.commands) < maxWithBulk {
				enqueueAll(t, q, commandOn(7, 8))
			}
			batch = q.nextBatch(maxCommands)
			q.batchDone(batch)
			if batch[0] == next {
				break
			}
			if passed > maxPassedOver {
				t.Fatalf("%s: a bulk command is never in a batch", name)
			}
		}
		if seen := map[*queuedCommand]bool{}; slices.ContainsFunc(batch, func(c *queuedCommand) bool {
			twice := seen[c]
			seen[c] = true
			return twice
		}) {
			t.Errorf("%s: a command is in a batch twice", name)
		}
	}
}

// A bulk command that touches a busy account waits. Those behind it on its accounts wait only if it
// is the first and was passed over too often: it has its turn as soon as they are free.
func TestABatchBesideAnotherTakesBulkCommandsThatShareNoAccount(t *testing.T) {
	for _, passedOver := range []int{0, maxPassedOver} {
		q := newCommandQueue(10_000, 1)
		first := commandOn(1, 2)
		enqueueAll(t, q, first)
		running := q.nextBatch(512)
		blocked, behind, free := groupOf(20, 2, 3), bulkOn(3, 4), groupOf(20, 5, 6)
		enqueueAll(t, q, blocked, behind, free)
		q.passedOver = passedOver
		beside := q.nextBatch(512)
		want, left := []*queuedCommand{behind, free}, []*queuedCommand{blocked}
		if passedOver > 0 {
			want, left = []*queuedCommand{free}, []*queuedCommand{blocked, behind}
		}
		if !slices.Equal(beside, want) {
			t.Fatalf("passed over %d times: beside 1→2, %d entries went, not %d", passedOver, len(beside), len(want))
		}
		q.batchDone(running)
		q.batchDone(beside)
		if last := q.nextBatch(512); !slices.Equal(last, left) {
			t.Fatalf("%d entries are left", len(last))
		}
		if q.len() != 0 {
			t.Errorf("%d commands wait in an empty queue", q.len())
		}
	}
}

// An atomic group of any size is taken by an empty queue.
func TestBulkCommandsHaveABoundOfTheirOwn(t *testing.T) {
	q := newCommandQueue(200, 10)
	enqueueAll(t, q, groupOf(500, 1, 2), commandOn(3, 4))
	if err := q.enqueue(bulkOn(1, 2)); err == nil {
		t.Error("501 bulk commands wait where 200 may")
	}
	for range 199 {
		enqueueAll(t, q, commandOn(3, 4))
	}
	if err := q.enqueue(commandOn(3, 4)); err == nil {
		t.Error("201 single commands wait where 200 may")
	}
}
