package monitoring

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// While a query hangs, its callers get the last result if that is young enough, and do not wait
// again; concurrent callers share one query.
func TestCachedProbe(t *testing.T) {
	t.Parallel()
	type result struct {
		n   int
		err error
	}
	results, queries := make(chan result), make(chan struct{}, 16)
	p := cachedProbe[int]{freshFor: time.Hour, query: func(context.Context) (int, error) {
		queries <- struct{}{}
		r := <-results
		return r.n, r.err
	}}
	get := func(ctx context.Context, maxAge time.Duration) string {
		n, err := p.get(ctx, maxAge)
		if err != nil {
			return err.Error()
		}
		return string(rune('0' + n))
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	age := func(d time.Duration) { // as if d had passed
		p.mu.Lock()
		defer p.mu.Unlock()
		p.at = p.at.Add(-d)
		p.started = p.started.Add(-d)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()

	// There is no result yet, and a canceled caller does not wait.
	want("before the first result", get(canceled, 3*time.Hour), errNoResult.Error())
	both := make(chan string)
	for range 2 {
		go func() { both <- get(t.Context(), 0) }()
	}
	results <- result{n: 1}
	want("one of two callers", <-both, "1")
	want("the other caller", <-both, "1")
	want("immediately afterwards", get(canceled, 0), "1")
	if n := len(queries); n != 1 {
		t.Errorf("%d queries for one result", n)
	}

	// The next query hangs.
	age(2 * time.Hour)
	want("while the query hangs, with a maxAge", get(canceled, 3*time.Hour), "1")
	want("while the query hangs, without a maxAge", get(canceled, 0), errNoResult.Error())
	age(2 * time.Hour)
	want("after the query has hung for long, without waiting", get(context.Background(), 5*time.Hour), "1")
	want("when the last result is too old", get(context.Background(), 3*time.Hour), errNoResult.Error())

	// It fails: the last result is no longer valid.
	results <- result{err: errors.New("unavailable")}
	waitUntilIdle(t, &p)
	go func() { results <- result{err: errors.New("unavailable")} }()
	want("while the dependency is unavailable", get(t.Context(), 3*time.Hour), "unavailable")
	go func() { results <- result{n: 2} }()
	want("when the dependency is available again", get(t.Context(), 0), "2")
}

// The first failure after a success is logged with its error, and so is the first success after.
func TestCachedProbeLogsChanges(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	var failure error
	p := cachedProbe[int]{
		name: "the queue", log: slog.New(slog.NewTextHandler(&text, nil)),
		query: func(context.Context) (int, error) { return 1, failure },
	}
	for _, failure = range []error{nil, errors.New("no route"), errors.New("no route"), nil, nil} {
		_, _ = p.get(t.Context(), 0)
		waitUntilIdle(t, &p)
	}
	if got := text.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `msg="the queue cannot be read" error="no route"`) || !strings.Contains(got, `msg="the queue can be read again"`) {
		t.Errorf("logged %s", got)
	}
}

func waitUntilIdle[T any](t *testing.T, p *cachedProbe[T]) {
	t.Helper()
	p.mu.Lock()
	running := p.running
	p.mu.Unlock()
	if running == nil {
		return
	}
	select {
	case <-running:
	case <-time.After(20 * time.Second):
		t.Fatal("the query did not end within 20 s")
	}
}
