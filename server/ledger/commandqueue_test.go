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
