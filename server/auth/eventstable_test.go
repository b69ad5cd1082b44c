package auth

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// eventRow is a row of the table of events in the documentation: names, when, and whether they are
// stored for the user.
var eventRow = regexp.MustCompile("^\\| (`[a-z_]+`[^|]*) \\| [^|]+ \\| (yes|no)[^|]* \\|$")

// TestEventsAreDocumented: the table in docs/operations.md has each event of the code once, and
// nothing else; those that it calls stored are those that the database accepts.
func TestEventsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	testkit.Must(t, err)
	_, section, found := strings.Cut(string(text), "\n## Security events\n")
	if !found {
		t.Fatal("docs/operations.md has no section on security events")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	declared := constants(t, "Event")
	stored := map[string]bool{} // by name, for those in the table
	names := regexp.MustCompile("`([a-z_]+)`")
	for line := range strings.Lines(section) {
		row := eventRow.FindStringSubmatch(strings.TrimSpace(line))
		if row == nil {
			continue
		}
		for _, name := range names.FindAllStringSubmatch(row[1], -1) {
			if _, twice := stored[name[1]]; twice {
				t.Errorf("%s is in the table twice", name[1])
			}
			stored[name[1]] = row[2] == "yes"
		}
	}
	known, listed := map[string]bool{}, map[string]bool{}
	for _, event := range securityEvents {
		listed[string(event)] = true
	}
	for constant, name := range declared {
		known[name] = true
		if _, documented := stored[name]; !documented {
			t.Errorf("%s (%s) is not in the table of docs/operations.md", constant, name)
		}
		if !listed[name] {
			t.Errorf("%s is not in securityEvents: its counter does not begin at 0", constant)
		}
	}
	for name := range stored {
		if !known[name] {
			t.Errorf("the table has %s, which the code does not know", name)
		}
	}
	h := newHarness(t)
	_, alice := h.signUp("alice")
	for name, want := range stored {
		err := h.record(t.Context(), h.pool, SecurityEvent(name), alice.ID, [16]byte{}, Client{}, "")
		if (err == nil) != want {
			t.Errorf("%s: the table says stored %v, and the database answers %v", name, want, err)
		}
	}
	t.Logf("%d events, %d of them stored", len(stored), len(h.history(alice.ID))-1)
}
