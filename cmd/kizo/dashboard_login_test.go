//go:build unix

package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// TestLoggingInOnTheDashboard: without a session there is a form, and the password is never shown.
func TestLoggingInOnTheDashboard(t *testing.T) {
	kizod, err := startKizod()
	testkit.Must(t, err)
	ada := newPerson(t, kizod.URL, "adaenters")
	ada.kizo("logout")
	w := openWindow(t, 80, 24, ada.env, "dashboard")
	w.until("LOGGED OUT", "Log in", "Password")
	w.types("@" + ada.handle + enter + "wrong horse battery")
	w.until("*******************") // only the length of the password is shown
	w.types(enter)
	w.until("password is wrong")
	w.types("correct horse battery" + enter)
	w.until("● LIVE", "@"+ada.handle, "[1 Wallet]")
	if strings.Contains(w.screen.Text(), "horse") {
		t.Errorf("%s", w.screen.Text())
	}
	ada.kizo("logout") // from another process: the stream ends with the session
	w.until("LOGGED OUT", "Log in")
	w.types(escape)
	if code := w.exitCode(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// TestWithoutAStreamItAsks: if a proxy breaks streams, the dashboard polls every two seconds and
// shows POLL.
func TestWithoutAStreamItAsks(t *testing.T) {
	kizod, err := startKizod()
	testkit.Must(t, err)
	target, err := url.Parse(kizod.URL)
	testkit.Must(t, err)
	var through atomic.Bool
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.FlushInterval = -1
	way := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/events" && !through.Load() {
			http.Error(w, "no streams here", http.StatusNotImplemented)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(way.Close)
	t.Cleanup(way.CloseClientConnections)
	ada, bob := newPerson(t, way.URL, "adapolls"), newPerson(t, kizod.URL, "bobpolls")
	bob.kizo("deposit", "50", "--wait=30s")
	w := openWindow(t, 160, 40, ada.env, "dashboard")
	w.until("◐ POLL", "No transfers yet")
	bob.kizo("transfer", "@"+ada.handle, "3", "-m", "asked for")
	w.until("◐ POLL", "+3.00", "asked for", "Available USD")
	w.types("2")
	w.until("[2 Transfers]", "asked for")
	through.Store(true)
	w.until("● LIVE")
	w.types("q")
	if code := w.exitCode(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
