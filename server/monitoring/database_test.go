package monitoring

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A difference of the clocks is logged when it begins and when it ends. A slow query alone makes
// no difference.
func TestClockDifferenceIsLogged(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	d := &Database{log: slog.New(slog.NewTextHandler(&text, nil))}
	for _, s := range []databaseState{
		{clockAhead: 900 * time.Millisecond},
		{clockAhead: 4 * time.Second, precision: 3500 * time.Millisecond},
		{clockAhead: -time.Hour},
		{clockAhead: -time.Hour},
		{clockAhead: 0},
		{clockAhead: time.Hour},
	} {
		s.writable = true
		d.logChanges(s)
	}
	got := text.String()
	for words, times := range map[string]int{"the clocks of kizod and PostgreSQL differ": 2, "agree again": 1, "database_ahead=-1h0m0s": 1} {
		if n := strings.Count(got, words); n != times {
			t.Errorf("%q is logged %d times, want %d: %s", words, n, times, got)
		}
	}
}
