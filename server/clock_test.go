package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestClockDistanceIsLogged: when the clocks come to differ, and when they agree again; a slow
// answer makes no difference of its own.
func TestClockDistanceIsLogged(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	d := &database{log: slog.New(slog.NewTextHandler(&text, nil))}
	for _, s := range []databaseState{
		{ahead: 900 * time.Millisecond},
		{ahead: 4 * time.Second, within: 3500 * time.Millisecond},
		{ahead: -time.Hour},
		{ahead: -time.Hour},
		{ahead: 0},
		{ahead: time.Hour},
	} {
		s.writable = true
		d.observe(s)
	}
	got := text.String()
	for words, times := range map[string]int{"the clocks of kizod and PostgreSQL differ": 2, "agree again": 1, "database_ahead=-1h0m0s": 1} {
		if n := strings.Count(got, words); n != times {
			t.Errorf("%q is logged %d times, want %d: %s", words, n, times, got)
		}
	}
}
