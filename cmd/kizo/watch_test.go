package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
)

// rounds returns a watch whose command prints the texts in turn, or fails with the errors, and is
// interrupted after the last one.
func rounds(w *world, onScreen bool, results ...any) *watch {
	a := w.app()
	a.color = "never"
	return &watch{
		app: a, every: time.Second, onScreen: onScreen,
		run: func() error {
			now := results[0]
			results = results[1:]
			if err, failed := now.(error); failed {
				return err
			}
			return a.write(now.(string))
		},
		sleep: func(context.Context, time.Duration) error {
			if len(results) == 0 {
				return context.Canceled
			}
			return nil
		},
	}
}

func TestWatchInAPipePrintsChanges(t *testing.T) {
	w := newWorld(t, nil)
	lost := &client.UnreachableError{Err: errors.New("refused")}
	busy := &client.Error{Status: http.StatusServiceUnavailable, Detail: "busy"}
	err := rounds(w, false, "1\n", "1\n", "2\n", lost, busy, "2\n", "1\n").loop(t.Context())
	if !errors.Is(err, context.Canceled) || w.out.String() != "1\n2\n1\n" {
		t.Errorf("%v, %q", err, w.out.String())
	}
	if strings.Count(w.err.String(), "trying again") != 1 {
		t.Errorf("stderr: %s", w.err.String())
	}
}

func TestWatchRedrawsTheScreen(t *testing.T) {
	w := newWorld(t, nil)
	watch := rounds(w, true, "a\nb\n", "a\n", strings.Repeat("line\n", 100))
	watch.app.io.Height = 10
	if err := watch.loop(t.Context()); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	screens := strings.Split(w.out.String(), "\x1b[H")
	if len(screens) != 4 || screens[0] != "\x1b[2J" {
		t.Fatalf("%q", screens)
	}
	for i, want := range []string{"a\x1b[K\nb\x1b[K\n\x1b[J", "a\x1b[K\n\x1b[J"} {
		if _, below, _ := strings.Cut(screens[i+1], "\n"); below != want {
			t.Errorf("screen %d: %q", i, below)
		}
	}
	if rows := strings.Count(screens[3], "\n"); rows >= 10 || !strings.Contains(screens[3], "… and 93 more lines") {
		t.Errorf("%d rows: %q", rows, screens[3])
	}
}

func TestWatchEndsWithAnErrorThatStays(t *testing.T) {
	w := newWorld(t, nil)
	refused := &client.Error{Status: http.StatusNotFound, Code: client.TransferNotFound}
	if err := rounds(w, false, "1\n", refused).loop(t.Context()); !errors.Is(err, refused) {
		t.Error(err)
	}
	w.expect(exitUsage, "balance", "--watch=10ms")
}

func TestColors(t *testing.T) {
	columns := []column{{title: "ID"}, {title: "STATE", state: true}}
	rows := [][]string{{"1", "posted"}, {"2", "refused"}, {"3", "other\x1b[2J"}}
	for _, test := range []struct {
		color    string
		terminal bool
		env      map[string]string
		want     bool
	}{
		{"auto", true, nil, true},
		{"auto", false, nil, false},
		{"auto", true, map[string]string{"NO_COLOR": "1"}, false},
		{"auto", true, map[string]string{"TERM": "dumb"}, false},
		{"auto", true, map[string]string{"CLICOLOR": "0"}, false},
		{"auto", false, map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{"always", false, map[string]string{"NO_COLOR": "1"}, true},
		{"never", true, nil, false},
	} {
		w := newWorld(t, nil)
		w.terminal, w.env = test.terminal, test.env
		a := w.app()
		a.color = test.color
		if a.colors() != test.want {
			t.Errorf("%+v", test)
		}
	}
	plain := table(columns, rows, tableStyle{})
	colored := table(columns, rows, tableStyle{colors: true})
	testOnly := strings.NewReplacer("\x1b[32m", "", "\x1b[31m", "", "\x1b[0m", "")
	if testOnly.Replace(colored) != plain || !strings.Contains(colored, "\x1b[32mposted") || strings.Contains(colored, "\x1b[2J") {
		t.Errorf("%q\n%q", plain, colored)
	}
}

// TestLongListsGoThroughThePager: only those that do not fit, and only lists.
func TestLongListsGoThroughThePager(t *testing.T) {
	w := newWorld(t, nil)
	w.terminal = true
	a := w.app()
	a.color = "never"
	var paged []string
	a.io.Height, a.io.Page = 5, func(text string) error { paged = append(paged, text); return nil }
	rows := [][]string{{"1"}, {"2"}, {"3"}}
	for range 2 {
		if err := a.printList(outputFlags{app: a}, nil, []column{{title: "ID"}}, rows); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, []string{"4"}, []string{"5"})
	}
	if want := []string{"ID\n1\n2\n3\n4\n5\n"}; !slices.Equal(paged, want) || w.out.String() != "ID\n1\n2\n3\n" {
		t.Errorf("%q and %q", paged, w.out.String())
	}
}
