package ledger

import (
	"slices"
	"testing"
)

// at is a command between two accounts.
func at(debit, credit int64) *waiting {
	return &waiting{command: &command{debit: debit, credit: credit}, outcome: make(chan outcome, 1)}
}

func lineOf(t *testing.T, n *intake, commands ...*waiting) {
	t.Helper()
	for _, w := range commands {
		if err := n.join(w); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBatchesUnderWayShareNoAccount(t *testing.T) {
	n := newIntake(100, 2)
	first := at(1, 2)
	lineOf(t, n, first)
	if batch := n.take(10); !slices.Equal(batch, []*waiting{first}) {
		t.Fatalf("alone, the first batch is %v", batch)
	}
	blocked, behind, free, more := at(2, 3), at(3, 4), at(5, 6), at(6, 7)
	lineOf(t, n, blocked, behind, free, more)
	second := n.take(10)
	if !slices.Equal(second, []*waiting{free, more}) {
		t.Fatalf("beside 1→2, of 2→3, 3→4, 5→6, 6→7 went %v, not the last two", second)
	}
	n.done([]*waiting{first})
	if third := n.take(10); !slices.Equal(third, []*waiting{blocked, behind}) {
		t.Fatalf("when 1→2 was done, %v went", third)
	}
}

func TestABatchBesideAnotherIsNotSmall(t *testing.T) {
	n := newIntake(100, 3)
	first := at(1, 2)
	lineOf(t, n, first)
	n.take(10)
	lineOf(t, n, at(3, 4), at(1, 5), at(6, 7))
	n.mu.Lock()
	apart, fresh := len(n.apart(10)), n.fresh
	n.mu.Unlock()
	if apart != 2 || fresh != 3 {
		t.Fatalf("%d of %d are apart from 1→2, want 2 of 3", apart, fresh)
	}
	taken := make(chan []*waiting)
	go func() { taken <- n.take(10) }()
	// Whoever waits has looked once, and wants three more before it looks again.
	for fresh != 0 {
		n.mu.Lock()
		fresh = n.fresh
		n.mu.Unlock()
	}
	select {
	case batch := <-taken:
		t.Fatalf("%d commands went beside 1→2, and 3 are worth while", len(batch))
	default:
	}
	n.done([]*waiting{first})
	if batch := <-taken; len(batch) != 3 {
		t.Fatalf("with nothing beside it a batch of %d went, not of all 3", len(batch))
	}
}

func TestALineIsBoundedAndEndsEmpty(t *testing.T) {
	n := newIntake(2, 10)
	lineOf(t, n, at(1, 2), at(3, 4))
	if err := n.join(at(5, 6)); err == nil {
		t.Fatal("a third command joined a line of two")
	}
	n.close()
	if err := n.join(at(5, 6)); err == nil {
		t.Fatal("a command joined a closed line")
	}
	for range 2 {
		batch := n.take(1)
		if len(batch) != 1 {
			t.Fatalf("a closed line gave %v before it was empty", batch)
		}
		n.done(batch)
	}
	if batch := n.take(1); batch != nil {
		t.Fatalf("a closed and empty line gave %v", batch)
	}
}
