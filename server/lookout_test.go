package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// Whoever asks something that hangs gets the last answer while that is young enough, and does not
// wait a second time; many who ask at once are one question.
func TestLookout(t *testing.T) {
	t.Parallel()
	type reply struct {
		n   int
		err error
	}
	replies, questions := make(chan reply), make(chan struct{}, 16)
	l := lookout[int]{moment: time.Hour, ask: func(context.Context) (int, error) {
		questions <- struct{}{}
		r := <-replies
		return r.n, r.err
	}}
	look := func(ctx context.Context, tolerated time.Duration) string {
		n, err := l.look(ctx, tolerated)
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
	age := func(d time.Duration) { // time passes
		l.mu.Lock()
		defer l.mu.Unlock()
		l.at = l.at.Add(-d)
		l.since = l.since.Add(-d)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()

	// Nothing is known yet, and nobody waits for ever.
	want("before the first answer", look(gone, 3*time.Hour), errNoAnswer.Error())
	both := make(chan string)
	for range 2 {
		go func() { both <- look(t.Context(), 0) }()
	}
	replies <- reply{n: 1}
	want("one of two", <-both, "1")
	want("the other", <-both, "1")
	want("at once again", look(gone, 0), "1")
	if n := len(questions); n != 1 {
		t.Errorf("%d questions for one answer", n)
	}

	// It is asked again and hangs.
	age(2 * time.Hour)
	want("while it hangs, tolerating", look(gone, 3*time.Hour), "1")
	want("while it hangs, not tolerating", look(gone, 0), errNoAnswer.Error())
	age(2 * time.Hour)
	want("while it has hung for long, nobody waits", look(context.Background(), 5*time.Hour), "1")
	want("when that is too old", look(context.Background(), 3*time.Hour), errNoAnswer.Error())

	// It fails: what was known is no longer true.
	replies <- reply{err: errors.New("away")}
	eventuallyIdle(t, &l)
	go func() { replies <- reply{err: errors.New("away")} }()
	want("when it is away", look(t.Context(), 3*time.Hour), "away")
	go func() { replies <- reply{n: 2} }()
	want("when it is back", look(t.Context(), 0), "2")
}

// What cannot be asked is logged with its error when that begins, and when it is over.
func TestLookoutLogsWhatChanges(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	var away error
	l := lookout[int]{
		name: "the queue", log: slog.New(slog.NewTextHandler(&text, nil)),
		ask: func(context.Context) (int, error) { return 1, away },
	}
	look := func(err error) {
		away = err
		_, _ = l.look(t.Context(), 0)
		eventuallyIdle(t, &l)
	}
	for _, err := range []error{nil, errors.New("no route"), errors.New("no route"), nil, nil} {
		look(err)
	}
	if got := text.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `msg="the queue cannot be read" error="no route"`) || !strings.Contains(got, `msg="the queue can be read again"`) {
		t.Errorf("logged %s", got)
	}
}

func eventuallyIdle[T any](t *testing.T, l *lookout[T]) {
	t.Helper()
	l.mu.Lock()
	answered := l.asking
	l.mu.Unlock()
	if answered == nil {
		return
	}
	select {
	case <-answered:
	case <-time.After(20 * time.Second):
		t.Fatal("waited 20 s in vain for an answer to be taken")
	}
}
