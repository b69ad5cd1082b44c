package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

func newLog(t *testing.T) *intentLog {
	return &intentLog{dir: filepath.Join(t.TempDir(), "kizo"), now: time.Now}
}

func begin(t *testing.T, l *intentLog, key, body string) intent {
	t.Helper()
	i := intent{Server: "http://s", UserID: "u", What: key, Command: client.Command{Path: "/v1/transfers", Key: key, Body: []byte(body)}}
	testkit.Must(t, l.Begin(t.Context(), &i))
	return i
}

func end(t *testing.T, l *intentLog, e intentEnd) {
	t.Helper()
	testkit.Must(t, l.End(t.Context(), e))
}

// keysOpen returns the keys of the open intents, in order.
func keysOpen(t *testing.T, l *intentLog) string {
	t.Helper()
	open, err := l.Open()
	testkit.Must(t, err)
	var keys []string
	for _, i := range open {
		keys = append(keys, i.Command.Key)
	}
	return strings.Join(keys, " ")
}

func TestIntentsAreOpenUntilTheyEnd(t *testing.T) {
	l := newLog(t)
	if got := keysOpen(t, l); got != "" {
		t.Errorf("open: %s", got)
	}
	a, b := begin(t, l, "a", `{}`), begin(t, l, "b", `{}`)
	if got := keysOpen(t, l); got != "a b" {
		t.Errorf("open: %s", got)
	}
	end(t, l, intentEnd{ID: b.ID, Outcome: "done", Settles: b.fingerprint()})
	end(t, l, intentEnd{ID: a.ID, Outcome: "not_done"})
	if got := keysOpen(t, l); got != "" {
		t.Errorf("open: %s", got)
	}
}

func TestAnAnswerToTheKeySettlesEveryRunOfIt(t *testing.T) {
	l := newLog(t)
	begin(t, l, "a", `{"amount":1}`) // its process crashed
	again := begin(t, l, "a", `{"amount":1}`)
	begin(t, l, "a", `{"amount":2}`) // another command with the same key has an outcome of its own
	end(t, l, intentEnd{ID: again.ID, Outcome: "done", Settles: again.fingerprint()})
	open, _ := l.Open()
	if len(open) != 1 || string(open[0].Command.Body) != `{"amount":2}` {
		t.Errorf("open: %+v", open)
	}
}

func TestFailedRunSettlesOnlyItself(t *testing.T) {
	l := newLog(t)
	begin(t, l, "a", `{}`)
	again := begin(t, l, "a", `{}`)
	end(t, l, intentEnd{ID: again.ID, Outcome: "not_done"})
	if got := keysOpen(t, l); got != "a" {
		t.Errorf("open: %s", got)
	}
}

func TestLogLineTornAnywhere(t *testing.T) {
	l := newLog(t)
	begin(t, l, "a", `{}`)
	before, err := os.ReadFile(l.path())
	testkit.Must(t, err)
	begin(t, l, "b", `{}`)
	whole, err := os.ReadFile(l.path())
	testkit.Must(t, err)
	for cut := len(before); cut < len(whole)-1; cut++ {
		testkit.Must(t, os.WriteFile(l.path(), whole[:cut], 0o600))
		if got := keysOpen(t, l); got != "a" && cut < len(whole)-1 {
			t.Fatalf("cut at %d: open %s", cut, got)
		}
		begin(t, l, "c", `{}`)
		if got := keysOpen(t, l); !strings.HasPrefix(got, "a") || !strings.HasSuffix(got, "c") {
			t.Fatalf("cut at %d, then begun: open %s", cut, got)
		}
	}
}

func TestCompactionKeepsOpenIntents(t *testing.T) {
	l := newLog(t)
	kept := begin(t, l, "kept", `{}`)
	large := bytes.Repeat([]byte(`{"end":{"id":"x"}}`+"\n"), maxIntentLog/18)
	file, err := os.OpenFile(l.path(), os.O_APPEND|os.O_WRONLY, 0)
	testkit.Must(t, err)
	if _, err := file.Write(large); err != nil {
		t.Fatal(err)
	}
	file.Close()
	begin(t, l, "new", `{}`)
	if info, _ := os.Stat(l.path()); info.Size() > 10_000 {
		t.Errorf("%d bytes are left", info.Size())
	}
	open, _ := l.Open()
	if len(open) != 2 || open[0].ID != kept.ID {
		t.Errorf("open: %+v", open)
	}
}

func TestManyWriteAtOnce(t *testing.T) {
	l := newLog(t)
	done := make(chan error)
	for n := range 20 {
		go func() {
			i := intent{Command: client.Command{Key: fmt.Sprint(n)}}
			done <- l.Begin(context.Background(), &i)
		}()
	}
	for range 20 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if open, _ := l.Open(); len(open) != 20 {
		t.Errorf("%d are open", len(open))
	}
}
