package ledger

import (
	"slices"
	"testing"
)

// at is a command between two accounts.
func at(debit, credit int64) *queuedCommand {
	return &queuedCommand{command: &command{debit: debit, credit: credit}, outcome: make(chan outcome, 1)}
}

func enqueueAll(t *testing.T, q *commandQueue, commands ...*queuedCommand) {
	t.Helper()
	for _, w := range commands {
		if err := q.enqueue(w); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBatchesUnderWayShareNoAccount(t *testing.T) {
	q := newCommandQueue(100, 2)
	first := at(1, 2)
	enqueueAll(t, q, first)
	if batch := q.nextBatch(10); !slices.Equal(batch, []*queuedCommand{first}) {
		t.Fatalf("alone, the first batch is %v", batch)
	}
	blocked, behind, free, more := at(2, 3), at(3, 4), at(5, 6), at(6, 7)
	enqueueAll(t, q, blocked, behind, free, more)
	second := q.nextBatch(10)
	if !slices.Equal(second, []*queuedCommand{free, more}) {
		t.Fatalf("beside 1→2, of 2→3, 3→4, 5→6, 6→7 went %v, not the last two", second)
	}
	q.batchDone([]*queuedCommand{first})
	if third := q.nextBatch(10); !slices.Equal(third, []*queuedCommand{blocked, behind}) {
		t.Fatalf("when 1→2 was done, %v went", third)
	}
}

func TestABatchBesideAnotherIsNotSmall(t *testing.T) {
	q := newCommandQueue(100, 3)
	first := at(1, 2)
	enqueueAll(t, q, first)
	q.nextBatch(10)
	enqueueAll(t, q, at(3, 4), at(1, 5), at(6, 7))
	q.mu.Lock()
	apart, fresh := len(q.disjointBatch(10)), q.unscanned
	q.mu.Unlock()
	if apart != 2 || fresh != 3 {
		t.Fatalf("%d of %d are apart from 1→2, want 2 of 3", apart, fresh)
	}
	taken := make(chan []*queuedCommand)
	go func() { taken <- q.nextBatch(10) }()
	// Whoever waits has looked once, and wants three more before it looks again.
	for fresh != 0 {
		q.mu.Lock()
		fresh = q.unscanned
		q.mu.Unlock()
	}
	select {
	case batch := <-taken:
		t.Fatalf("%d commands went beside 1→2, and 3 are worth while", len(batch))
	default:
	}
	q.batchDone([]*queuedCommand{first})
	if batch := <-taken; len(batch) != 3 {
		t.Fatalf("with nothing beside it a batch of %d went, not of all 3", len(batch))
	}
}

func TestALineIsBoundedAndEndsEmpty(t *testing.T) {
	q := newCommandQueue(2, 10)
	enqueueAll(t, q, at(1, 2), at(3, 4))
	if err := q.enqueue(at(5, 6)); err == nil {
		t.Fatal("a third command joined a line of two")
	}
	q.close()
	if err := q.enqueue(at(5, 6)); err == nil {
		t.Fatal("a command joined a closed line")
	}
	for range 2 {
		batch := q.nextBatch(1)
		if len(batch) != 1 {
			t.Fatalf("a closed line gave %v before it was empty", batch)
		}
		q.batchDone(batch)
	}
	if batch := q.nextBatch(1); batch != nil {
		t.Fatalf("a closed and empty line gave %v", batch)
	}
}
