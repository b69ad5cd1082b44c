package auth

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// latch is a Hasher that hashes when the test says so.
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
	return j.Argon2id(), nil
}

// A full line refuses at once: before the throttle, before the look-up, although
// nobody in it gets on.
func TestAFullLineRefusesBeforeAnyWork(t *testing.T) {
	t.Parallel()
	g := newLatch()
	h := newHouse(t, func(c *Config) { c.Hasher, c.HashSlots, c.HashQueue, c.HashPatience = g, 2, 3, time.Hour })
	before, results := h.pool.Stat().AcquireCount(), make(chan error, 5)
	for range 5 {
		go func() {
			_, _, err := h.LogIn(t.Context(), "nobody", "wrong password", Client{})
			results <- err
		}()
	}
	<-g.entered
	<-g.entered
	// All five have asked the database, and three of them wait for a slot.
	eventually(t, func() bool { return h.pool.Stat().AcquireCount() == before+10 })
	wantEqual(t, "in line", gauge(t, h.config.Metrics.queue), 3)
	for range 100 {
		_, _, err := h.LogIn(t.Context(), "alice", "wrong password", Client{Address: "192.0.2.1"})
		wantCode(t, err, CodeOverloaded)
		var refusal *Error
		if errors.As(err, &refusal) && refusal.RetryAfter < time.Second {
			t.Errorf("come back after %v", refusal.RetryAfter)
		}
		_, _, err = h.SignUp(t.Context(), SignUpInput{Email: "x@example.com", Handle: "xx", Name: "X", Password: goodPassword})
		wantCode(t, err, CodeOverloaded)
	}
	wantEqual(t, "queries of those who were refused", h.pool.Stat().AcquireCount(), before+10)
	wantEqual(t, "refused", counter(t, h.config.Metrics.refused.WithLabelValues(refusedFull)), 200)
	go func() {
		for range 3 {
			<-g.entered
		}
	}()
	for range 5 {
		g.release <- nil
	}
	for range 5 {
		wantCode(t, <-results, CodeInvalidCredentials)
	}
	wantEqual(t, "tickets", h.hashing.tickets.Load(), 0)
	wantEqual(t, "in line", gauge(t, h.config.Metrics.queue), 0)
}

// Whoever has waited too long is told to come back, and has not used up an attempt.
func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	g := newLatch()
	h := newHouse(t, func(c *Config) { c.Hasher, c.HashSlots, c.HashPatience = g, 1, time.Millisecond })
	done := make(chan error)
	go func() {
		_, _, err := h.LogIn(t.Context(), "first", "wrong password", Client{})
		done <- err
	}()
	<-g.entered
	for range 2 * accountRule.free {
		_, _, err := h.LogIn(t.Context(), "alice", "wrong password", Client{Address: "192.0.2.1"})
		wantCode(t, err, CodeOverloaded)
	}
	wantEqual(t, "refused", counter(t, h.config.Metrics.refused.WithLabelValues(refusedDeadline)), float64(2*accountRule.free))
	g.release <- nil
	wantCode(t, <-done, CodeInvalidCredentials)
	wantEqual(t, "tickets", h.hashing.tickets.Load(), 0)
}

func TestWaitingEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	g := newLatch()
	h := newHouse(t, func(c *Config) { c.Hasher, c.HashSlots, c.HashPatience = g, 1, time.Hour })
	done := make(chan error)
	go func() {
		_, err := h.hashNew(t.Context(), goodPassword)
		done <- err
	}()
	<-g.entered
	impatient, leave := context.WithCancel(t.Context())
	leave()
	if _, err := h.hashNew(impatient, goodPassword); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	g.release <- nil
	must(t, <-done)
	wantEqual(t, "slots in use", len(h.hashing.slots), 0)
}

// A hasher that breaks is no wrong password: the caller may come again, and is not
// counted.
func TestABrokenHasherIsNotAWrongPassword(t *testing.T) {
	t.Parallel()
	g := newLatch()
	h := newHouse(t)
	h.signUp("alice")
	broken := h.another(func(c *Config) { c.Hasher = g })
	go func() {
		for range 2 * accountRule.free {
			<-g.entered
			g.release <- errors.New("out of memory")
		}
	}()
	for range 2 * accountRule.free {
		_, _, err := broken.LogIn(t.Context(), "alice", goodPassword, Client{})
		wantCode(t, err, CodeOverloaded)
	}
	wantEqual(t, "broken", counter(t, h.config.Metrics.refused.WithLabelValues(refusedBroken)), float64(2*accountRule.free))
	h.logIn("alice")
}

// Hundreds at once: no more than the slots hash, no more than the queue wait, and
// everybody gets an answer.
func TestAThousandWrongPasswordsAtOnce(t *testing.T) {
	t.Parallel()
	const logins, slots, queue = 1000, 2, 16
	counted := &counting{}
	h := newHouse(t, func(c *Config) {
		c.Hasher, c.HashSlots, c.HashQueue, c.HashPatience = counted, slots, queue, time.Minute
	})
	h.signUp("alice")
	codes, start, done := make(chan string, logins), make(chan struct{}), sync.WaitGroup{}
	for i := range logins {
		who := []string{"alice", "nobody"}[i%2] + string(rune('a'+i%26))
		done.Go(func() {
			<-start
			_, _, err := h.LogIn(t.Context(), who, "wrong password", Client{})
			codes <- CodeOf(err)
		})
	}
	close(start)
	done.Wait()
	close(codes)
	count := map[string]int{}
	for c := range codes {
		count[c]++
	}
	t.Logf("%v, %d hashes, %d at once at most", count, counted.all, counted.most)
	wantEqual(t, "answers", count[CodeInvalidCredentials]+count[CodeOverloaded]+count[CodeTooManyAttempts], logins)
	wantEqual(t, "hashes but for the sign-up", counted.all-1, count[CodeInvalidCredentials])
	if count[CodeOverloaded] == 0 || counted.most > slots {
		t.Errorf("%d refused, %d hashes at once", count[CodeOverloaded], counted.most)
	}
	wantEqual(t, "tickets", h.hashing.tickets.Load(), 0)
}

// counting is a Hasher that knows how busy it has been.
type counting struct {
	mu             sync.Mutex
	now, most, all int
}

func (c *counting) Hash(j HashJob) ([]byte, error) {
	c.mu.Lock()
	c.now++
	c.all++
	c.most = max(c.most, c.now)
	c.mu.Unlock()
	defer func() { c.mu.Lock(); c.now--; c.mu.Unlock() }()
	return j.Argon2id(), nil
}

// When to come back grows with the line and with what a hash takes.
func TestRetryAfterIsHonest(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.HashSlots, c.HashQueue = 2, 100 })
	b := h.hashing
	for range 100 {
		b.learn(500 * time.Millisecond)
	}
	b.tickets.Store(40)
	after := b.refuse(refusedFull, nil).RetryAfter
	if after < 9*time.Second || after > 10*time.Second { // 40 × 0.5 s by two at a time
		t.Errorf("40 in line: %v", after)
	}
	b.tickets.Store(0)
	wantEqual(t, "nobody in line", b.refuse(refusedFull, nil).RetryAfter, time.Second)
	b.tickets.Store(1 << 20)
	wantEqual(t, "a line without end", b.refuse(refusedFull, nil).RetryAfter, time.Minute)
}

func gauge(t testing.TB, g prometheus.Gauge) float64 {
	t.Helper()
	var m dto.Metric
	must(t, g.Write(&m))
	return m.GetGauge().GetValue()
}

func counter(t testing.TB, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	must(t, c.Write(&m))
	return m.GetCounter().GetValue()
}

// eventually polls; it is for what another goroutine will do.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited 20 s in vain")
		}
	}
}

// What a log-in costs that finds no room.
func BenchmarkRefusedLogIn(b *testing.B) {
	h := newHouse(b)
	h.hashing.tickets.Store(h.hashing.most)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := h.LogIn(b.Context(), "alice", "wrong password", Client{Address: "192.0.2.1"}); CodeOf(err) != CodeOverloaded {
			b.Fatal(err)
		}
	}
}
