package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

// latch is a Hasher that hashes when the test releases it.
type latch struct {
	entered chan struct{}
	release chan error // nil: hash
}

func newLatch() *latch { return &latch{make(chan struct{}), make(chan error)} }

func (g *latch) Hash(j HashJob) ([]byte, error) {
	g.entered <- struct{}{}
	if err := <-g.release; err != nil {
		return nil, err
	}
	return InProcess{}.Hash(j)
}

// TestFullQueueRefusesBeforeAnyWork: a full queue refuses at once, before the throttle and before
// the look-up, although none of its hashes makes progress.
func TestFullQueueRefusesBeforeAnyWork(t *testing.T) {
	t.Parallel()
	g := newLatch()
	h := newHarness(t, func(c *Config) { c.Hasher, c.HashSlots, c.HashMaxWait = g, 2, 30*time.Second })
	h.hashQueue.typical.Store(int64(10 * time.Second)) // three for each slot are done within HashMaxWait
	before, results := h.pool.Stat().AcquireCount(), make(chan error, 6)
	for i := range 6 {
		go func() {
			_, _, err := h.LogIn(t.Context(), fmt.Sprintf("unknown%d", i), "wrong password", "", Client{})
			results <- err
		}()
	}
	<-g.entered
	<-g.entered
	// All six log-ins have queried the database, and four of them wait for a slot.
	testkit.Eventually(t, "every log-in has queried the database", func() bool { return h.pool.Stat().AcquireCount() == before+12 })
	testkit.Equal(t, "in the queue", gauge(t, h.config.Metrics.queue), 4)
	for range 100 {
		_, _, err := h.LogIn(t.Context(), "alice", "wrong password", "", Client{Address: "192.0.2.1"})
		wantCode(t, err, CodeOverloaded)
		if refusal, ok := errors.AsType[*problem.Error](err); ok && (refusal.RetryAfter < 30*time.Second || !strings.Contains(refusal.Message, "too busy to check a password; try again in ")) {
			t.Errorf("RetryAfter %v: %s", refusal.RetryAfter, refusal.Message)
		}
		_, _, err = h.SignUp(t.Context(), SignUpInput{Email: "x@example.com", Handle: "xx", Name: "X", Password: goodPassword})
		wantCode(t, err, CodeOverloaded)
	}
	testkit.Equal(t, "queries of refused log-ins", h.pool.Stat().AcquireCount(), before+12)
	testkit.Equal(t, "refused", counter(t, h.config.Metrics.refused.WithLabelValues(refusedFull)), 200)
	go func() {
		for range 4 {
			<-g.entered
		}
	}()
	for range 6 {
		g.release <- nil
	}
	for range 6 {
		wantCode(t, <-results, CodeInvalidCredentials)
	}
	testkit.Equal(t, "tickets", h.hashQueue.tickets.Load(), 0)
	testkit.Equal(t, "in the queue", gauge(t, h.config.Metrics.queue), 0)
}

// TestQueueLengthFollowsHashRate: the length of the queue follows the measured duration of a hash,
// up and down, and no caller is refused while a slot is free.
func TestQueueLengthFollowsHashRate(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.HashSlots, c.HashMaxWait = 4, 10*time.Second })
	b := h.hashQueue
	for _, c := range []struct {
		hash time.Duration
		want int
	}{
		{20 * time.Millisecond, 2000}, {100 * time.Millisecond, 400}, {time.Second, 40}, {9 * time.Second, 4}, {11 * time.Second, 4}, {time.Microsecond, maxTickets},
	} {
		b.typical.Store(int64(c.hash))
		var entered []*ticket
		for {
			ticket, err := b.enter()
			if err != nil {
				wantCode(t, err, CodeOverloaded)
				break
			}
			entered = append(entered, ticket)
		}
		testkit.Equal(t, "entered at "+c.hash.String(), len(entered), c.want)
		for _, ticket := range entered {
			ticket.leave()
		}
	}
}

func TestTypicalTimeFollowsObservations(t *testing.T) {
	t.Parallel()
	b := newHarness(t).hashQueue
	for _, took := range []time.Duration{3 * time.Second, 20 * time.Millisecond} {
		for range 40 {
			b.observe(took)
		}
		if got := b.hashTime(); got < took*9/10 || got > took*11/10 {
			t.Errorf("40 hashes took %v each, the typical time is %v", took, got)
		}
	}
}

// TestSlowHashShortensQueueAtOnce: a hash that takes longer than usual shortens the queue before it
// is done.
func TestSlowHashShortensQueueAtOnce(t *testing.T) {
	t.Parallel()
	g := newLatch()
	h := newHarness(t, func(c *Config) { c.Hasher, c.HashSlots, c.HashMaxWait = g, 1, 10*time.Second })
	done := make(chan error)
	go func() {
		_, err := h.hashNew(t.Context(), "a@example.com", goodPassword)
		done <- err
	}()
	<-g.entered
	h.hashQueue.all[0].began.Store(time.Now().Add(-time.Minute).UnixNano())
	_, err := h.hashNew(t.Context(), "a@example.com", goodPassword)
	wantCode(t, err, CodeOverloaded)
	g.release <- nil
	testkit.Must(t, <-done)
}

func TestCanceledCallerLeavesQueue(t *testing.T) {
	t.Parallel()
	g := newLatch()
	h := newHarness(t, func(c *Config) { c.Hasher, c.HashSlots = g, 1 })
	done := make(chan error)
	go func() {
		_, err := h.hashNew(t.Context(), "a@example.com", goodPassword)
		done <- err
	}()
	<-g.entered
	impatient, leave := context.WithCancel(t.Context())
	leave()
	if _, err := h.hashNew(impatient, "a@example.com", goodPassword); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	g.release <- nil
	testkit.Must(t, <-done)
	testkit.Equal(t, "free slots", len(h.hashQueue.slots), 1)
	testkit.Equal(t, "timeouts", counter(t, h.config.Metrics.refused.WithLabelValues(refusedTimeout)), 1)
}

// TestBrokenHasherIsNoWrongPassword: if the hasher fails, the caller can try again, and the attempt
// is not counted as a failure.
func TestBrokenHasherIsNoWrongPassword(t *testing.T) {
	t.Parallel()
	g := newLatch()
	h := newHarness(t)
	h.signUp("alice")
	broken := h.another(func(c *Config) { c.Hasher = g })
	go func() {
		for range 2 * accountRule.free {
			<-g.entered
			g.release <- errors.New("out of memory")
		}
	}()
	for range 2 * accountRule.free {
		_, _, err := broken.LogIn(t.Context(), "alice", goodPassword, "", Client{})
		wantCode(t, err, CodeOverloaded)
	}
	testkit.Equal(t, "broken", counter(t, h.config.Metrics.refused.WithLabelValues(refusedBroken)), float64(2*accountRule.free))
	h.logIn("alice")
}

// TestConcurrentWrongPasswords: of a thousand concurrent log-ins, no more hash at a time than there
// are slots, and every caller gets an answer: those that are refused at once, the others after the
// comparison.
func TestConcurrentWrongPasswords(t *testing.T) {
	t.Parallel()
	const logins, slots = 1000, 2
	counted := &counting{}
	h := newHarness(t, func(c *Config) {
		c.Hasher, c.HashSlots, c.HashMaxWait = counted, slots, time.Millisecond
	})
	h.signUp("alice")
	codes, start, done := make(chan problem.Code, logins), make(chan struct{}), sync.WaitGroup{}
	for i := range logins {
		who := []string{"alice", "unknown"}[i%2] + string(rune('a'+i%26))
		done.Go(func() {
			<-start
			_, _, err := h.LogIn(t.Context(), who, "wrong password", "", Client{})
			codes <- problem.CodeOf(err)
		})
	}
	close(start)
	done.Wait()
	close(codes)
	count := map[problem.Code]int{}
	for c := range codes {
		count[c]++
	}
	t.Logf("%v, %d hashes, %d at once at most", count, counted.all, counted.max)
	testkit.Equal(t, "answers", count[CodeInvalidCredentials]+count[CodeOverloaded]+count[CodeTooManyAttempts], logins)
	testkit.Equal(t, "hashes without that of the sign-up", counted.all-1, count[CodeInvalidCredentials])
	if count[CodeOverloaded] == 0 || counted.max > slots {
		t.Errorf("%d refused, %d hashes at once", count[CodeOverloaded], counted.max)
	}
	testkit.Equal(t, "tickets", h.hashQueue.tickets.Load(), 0)
}

// counting is a Hasher that counts its concurrent hashes and all hashes.
type counting struct {
	mu            sync.Mutex
	now, max, all int
}

func (c *counting) Hash(j HashJob) ([]byte, error) {
	c.mu.Lock()
	c.now++
	c.all++
	c.max = max(c.max, c.now)
	c.mu.Unlock()
	defer func() { c.mu.Lock(); c.now--; c.mu.Unlock() }()
	return InProcess{}.Hash(j)
}

// TestRetryAfterFollowsQueue: RetryAfter grows with the length of the queue and with the duration
// of a hash.
func TestRetryAfterFollowsQueue(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.HashSlots = 2 })
	b := h.hashQueue
	for range 100 {
		b.observe(500 * time.Millisecond)
	}
	b.tickets.Store(40)
	after := b.refuse(refusedFull, nil).RetryAfter
	if after != 10*time.Second { // 40 × 0.5 s in two slots
		t.Errorf("40 in the queue: %v", after)
	}
	b.tickets.Store(0)
	testkit.Equal(t, "an empty queue", b.refuse(refusedFull, nil).RetryAfter, time.Second)
	b.tickets.Store(1 << 20)
	testkit.Equal(t, "a very long queue", b.refuse(refusedFull, nil).RetryAfter, time.Minute)
}

func gauge(t testing.TB, g prometheus.Gauge) float64 {
	t.Helper()
	var m dto.Metric
	testkit.Must(t, g.Write(&m))
	return m.GetGauge().GetValue()
}

func counter(t testing.TB, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	testkit.Must(t, c.Write(&m))
	return m.GetCounter().GetValue()
}

// BenchmarkRefusedLogIn measures a log-in that the full queue refuses.
func BenchmarkRefusedLogIn(b *testing.B) {
	h := newHarness(b)
	h.hashQueue.tickets.Store(maxTickets)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := h.LogIn(b.Context(), "alice", "wrong password", "", Client{Address: "192.0.2.1"}); problem.CodeOf(err) != CodeOverloaded {
			b.Fatal(err)
		}
	}
}
