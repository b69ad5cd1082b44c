package auth

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
)

// gate is a query function whose calls the test releases one at a time.
type gate struct {
	asked  chan []int
	answer chan error
}

func newGate(maxKeys int) (*gate, *coalescer[int, string]) {
	g := &gate{asked: make(chan []int), answer: make(chan error)}
	return g, &coalescer[int, string]{max: maxKeys, timeout: time.Minute, query: g.query}
}

func (g *gate) query(ctx context.Context, keys []int) (map[int]string, error) {
	g.asked <- keys
	select {
	case err := <-g.answer:
		return map[int]string{1: "one", 2: "two", 3: "three"}, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type reply struct {
	value string
	found bool
	err   error
}

func ask(ctx context.Context, c *coalescer[int, string], key int) <-chan reply {
	out := make(chan reply, 1)
	go func() {
		value, found, err := c.get(ctx, key)
		out <- reply{value, found, err}
	}()
	synctest.Wait() // until the caller waits for the next query, or the query runs
	return out
}

func TestCoalescerSharesNextQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGate(512)
		first := ask(t.Context(), c, 1)
		testkit.Equal(t, "keys of a lone caller", len(<-g.asked), 1)
		// Callers with the same key wait too: the running query may have begun before a change that
		// such a caller knows of.
		again := ask(t.Context(), c, 1)
		second, double, unknown := ask(t.Context(), c, 2), ask(t.Context(), c, 2), ask(t.Context(), c, 99)
		g.answer <- nil
		testkit.Equal(t, "first", <-first, reply{"one", true, nil})
		keys := <-g.asked
		if len(keys) != 3 || keys[0] != 1 || keys[1] != 2 || keys[2] != 99 {
			t.Errorf("second query asks for %v", keys)
		}
		g.answer <- nil
		testkit.Equal(t, "again", <-again, reply{"one", true, nil})
		testkit.Equal(t, "second", <-second, reply{"two", true, nil})
		testkit.Equal(t, "double", <-double, reply{"two", true, nil})
		testkit.Equal(t, "unknown", <-unknown, reply{"", false, nil})
		synctest.Wait() // the test ends, so that no goroutine is left
	})
}

func TestCoalescerLimitsKeysPerQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGate(2)
		replies := []<-chan reply{ask(t.Context(), c, 3)}
		for _, key := range []int{1, 1, 2, 1, 3, 2} {
			replies = append(replies, ask(t.Context(), c, key))
		}
		// The first query has the key 3; the second one 1 and 2; the third one 3 and 2.
		for _, want := range [][]int{{3}, {1, 2}, {3, 2}} {
			if keys := <-g.asked; !slices.Equal(keys, want) {
				t.Errorf("a query for %v, want %v", keys, want)
			}
			g.answer <- nil
		}
		for i, r := range replies {
			if got := <-r; !got.found || got.err != nil {
				t.Errorf("reply %d: %v", i, got)
			}
		}
	})
}

func TestCoalescerCancellationAffectsOneCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGate(512)
		querying, cancelQuerying := context.WithCancel(t.Context())
		waiting, cancelWaiting := context.WithCancel(t.Context())
		inQuery := ask(querying, c, 1)
		<-g.asked
		inQueue, other := ask(waiting, c, 2), ask(t.Context(), c, 3)
		cancelQuerying()
		cancelWaiting()
		for _, r := range []<-chan reply{inQuery, inQueue} {
			if got := <-r; !errors.Is(got.err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", got)
			}
		}
		g.answer <- nil
		keys := <-g.asked
		if len(keys) != 1 || keys[0] != 3 {
			t.Errorf("the query has the key of the canceled caller: %v", keys)
		}
		g.answer <- nil
		testkit.Equal(t, "other", <-other, reply{"three", true, nil})
	})
}

func TestCoalescerFailureAffectsOneQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGate(512)
		broken := errors.New("connection lost")
		first := ask(t.Context(), c, 1)
		<-g.asked
		next := ask(t.Context(), c, 2)
		g.answer <- broken
		testkit.Equal(t, "first", (<-first).err, broken)
		<-g.asked
		g.answer <- nil
		testkit.Equal(t, "next", <-next, reply{"two", true, nil})
	})
}

func TestCoalescerQueryTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGate(512)
		stuck := ask(t.Context(), c, 1)
		<-g.asked
		if got := <-stuck; !errors.Is(got.err, context.DeadlineExceeded) { // in the bubble's time
			t.Errorf("got %v", got)
		}
	})
}

// TestCoalescerIsNeverStale: under load, get never misses a change that was committed before the
// call.
func TestCoalescerIsNeverStale(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	current := 0
	c := &coalescer[string, int]{max: 512, timeout: time.Minute, query: func(context.Context, []string) (map[string]int, error) {
		mu.Lock()
		defer mu.Unlock()
		return map[string]int{"n": current}, nil
	}}
	var askers sync.WaitGroup
	for range 16 {
		askers.Go(func() {
			for range 500 {
				mu.Lock()
				current++
				atLeast := current
				mu.Unlock()
				got, _, err := c.get(t.Context(), "n")
				if err != nil || got < atLeast {
					t.Errorf("read %d (%v) after %d was written", got, err, atLeast)
					return
				}
			}
		})
	}
	askers.Wait()
}
