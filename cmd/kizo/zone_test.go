package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// TestATimeZoneThatDoesNotExist: kizo must not use UTC in its place.
func TestATimeZoneThatDoesNotExist(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		fmt.Fprint(w, `{"items":[]}`)
	}))
	defer server.Close()
	dated := [][]string{
		{"transfers", "list", "--since", "2026-03-01"},
		{"transfers", "list", "--until", "2026-03-01"},
		{"balance", "USD", "--at", "2026-02-01"},
		{"events", "--since", "2026-02-01", "--until-live"},
		{"transfer", "@bob", "1", "USD", "--authorize", "--expires", "2026-04-01", "--dry-run"},
		{"dashboard", "--once"},
	}
	for _, zone := range []string{"Nowhere/City", "CET-1CEST,M3.5.0,M10.5.0/3", "../etc/passwd", "/etc/passwd", "/missing", ":Nowhere"} {
		w := newWorld(t, server)
		w.env["TZ"] = zone
		for _, args := range dated {
			w.expect(exitUsage, args...)
			testkit.Contains(t, w.err.String(), fmt.Sprintf("TZ is %q", zone), "TZ=UTC kizo ")
		}
		w.expect(exitDone, "transfers", "list", "--since", "2026-03-01T00:00:00Z") // needs no zone
		w.expect(exitDone, "transfers", "list", "--since", "12h")
		w.expect(exitDone, "balance")
	}
	for _, zone := range []string{"", "UTC", "Europe/Berlin", ":Europe/Berlin", "EST5EDT", "America/Havana"} {
		w := newWorld(t, server)
		w.env["TZ"] = zone
		w.expect(exitDone, "transfers", "list", "--since", "2026-03-01")
	}

	// The program contains the time zone database, for systems without one.
	asked = nil
	command := exec.CommandContext(t.Context(), "kizo", "transfers", "list", "--since", "2026-07-01")
	command.Env = append(os.Environ(), "KIZO_SERVER="+server.URL, "KIZO_TOKEN=token", "XDG_CONFIG_HOME="+t.TempDir(), "TZ=Asia/Tokyo", "ZONEINFO=/missing")
	if out, err := command.CombinedOutput(); err != nil || len(asked) != 1 || !strings.Contains(asked[0], "2026-06-30T15%3A00%3A00Z") {
		t.Errorf("%v %s: asked %v", err, out, asked)
	}
}
