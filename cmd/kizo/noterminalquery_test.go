//go:build unix

package main

import (
	"strings"
	"testing"

	_ "github.com/charmbracelet/bubbletea" // linked so that its init runs
)

// TestNoTerminalQuery runs kizo on a terminal that never answers, and looks for a query in the
// bytes that kizo writes. It does not measure the wait that would follow a query.
func TestNoTerminalQuery(t *testing.T) {
	w := newWorld(t, newFakeServer(t).Server)
	w.env["TERM"] = "xterm-256color"
	w.env["CI"] = "" // if CI is set, termenv sends no query
	for _, args := range [][]string{{"--version"}, {"balance"}, {"--help"}} {
		x := onTerminal(t, w, args...)
		if code := x.exitCode(); code != exitDone {
			t.Errorf("kizo %s: exit code %d", args[0], code)
		}
		for name, probe := range map[string]string{"its background": "\x1b]11;?", "its colors": "\x1b]10;?", "the cursor": "\x1b[6n", "what it is": "\x1b[c"} {
			if strings.Contains(x.shown.String(), probe) {
				t.Errorf("kizo %s asked the terminal for %s: %.60q", args[0], name, x.shown.String())
			}
		}
	}
}
