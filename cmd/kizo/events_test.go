//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/money"
)

// streams answers the requests in order, repeats the last answer, and records the requests.
func newStreams(t *testing.T, asked *[]string, answers ...http.HandlerFunc) *httptest.Server {
	t.Helper()
	n := 0 // requests come one after the other
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.Query().Get("since"))
		answer := answers[min(n, len(answers)-1)]
		n++
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// sending sends these lines. Then it ends the stream, or stays silent until the client leaves.
func sending(ends bool, lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, strings.Join(lines, ""))
		_ = http.NewResponseController(w).Flush()
		if !ends {
			<-r.Context().Done()
		}
	}
}

func transferLine(id string, amount int) string {
	return fmt.Sprintf("id: %s\nevent: transfer\ndata: {\"at\":\"2026-03-01T11:00:00Z\",\"state\":\"posted\",\"transfer\":"+
		`{"id":"0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d","kind":"transfer","state":"posted","direction":"in","amount":%d,"currency":"USD",`+
		`"from":{"handle":"bob"},"to":{"handle":"ada"},"memo":"\u001b]52;c;eA==\u0007lunch","created_at":"2026-03-01T11:00:00Z"}}`+"\n\n", id, amount)
}

const liveLine = "id: now\nevent: live\ndata: {}\n\n"

func cutLine(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestLostConnectionIsRestored(t *testing.T) {
	var asked []string
	s := newStreams(t, &asked,
		sending(true, ": hello\n\n", liveLine, transferLine("a", 1)), // and the server stops
		cutLine,
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		sending(true, "event: news\ndata: of another version\n\n", transferLine("b", 2), liveLine, transferLine("c", 3)),
	)
	w := newWorld(t, s)
	a := w.app("events")
	kizo, err := a.kizo()
	testkit.Must(t, err)
	var slept []time.Duration
	f := &follower{opts: &eventsOptions{app: a, limit: 3}, kizo: kizo, pause: time.Second,
		sleep: func(_ context.Context, d time.Duration) error {
			slept = append(slept, d)
			return nil
		}}
	testkit.Must(t, f.follow(t.Context()))
	if got := strings.Join(asked, " "); got != " a a a a" {
		t.Errorf("asked for what comes after %q", got)
	}
	for i, id := range []string{"a", "b", "c"} {
		testkit.Contains(t, w.out.String(), fmt.Sprintf(`{"event_id":%q,"at":"2026-03-01T11:00:00Z","amount":%d`, id, i+1))
	}
	testkit.Contains(t, w.err.String(), "Connection lost", "Reconnected; no event was missed.")
	if lost := strings.Count(w.err.String(), "Connection lost"); lost != 1 {
		t.Errorf("reported the lost connection %d times", lost)
	}
	// net/http itself repeats a request that failed on a reused connection.
	if last := slept[len(slept)-1]; len(slept) < 3 || last < 7*time.Second || last > time.Minute {
		t.Errorf("slept %v", slept)
	}
	if strings.ContainsAny(w.out.String(), "\x1b\x07") {
		t.Error("a memo reached the terminal as it came")
	}
}

// TestFollowingSurvivesMaintenance: a proxy answers in place of the server, with any status.
func TestFollowingSurvivesMaintenance(t *testing.T) {
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Location", "/maintenance.html")
			w.WriteHeader(status)
			fmt.Fprint(w, "<html>We are back in a moment.")
		}
	}
	var asked []string
	s := newStreams(t, &asked, page(200), sending(true, liveLine, transferLine("a", 1)),
		page(200), page(302), page(403), page(404), page(503), page(200), sending(true, transferLine("b", 2), liveLine))
	w := newWorld(t, s)
	a := w.app("events")
	kizo, err := a.kizo()
	testkit.Must(t, err)
	f := &follower{opts: &eventsOptions{app: a, limit: 2}, kizo: kizo, pause: time.Second, sleep: func(context.Context, time.Duration) error { return nil }}
	testkit.Must(t, f.follow(t.Context()))
	testkit.Contains(t, w.out.String(), `"event_id":"a"`, `"event_id":"b"`)
	testkit.Contains(t, w.err.String(), "does not answer like a Kizo server")

	// The same holds while the token must be refreshed; the page does not use the refresh token up.
	renewed := 0
	renewing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch renewed++; {
		case renewed == 1:
			page(200)(w, r)
		case r.URL.Path == "/v1/auth/refresh":
			fmt.Fprint(w, tokensOfAda("r2"))
		default:
			sending(true, transferLine("a", 1))(w, r)
		}
	}))
	defer renewing.Close()
	w = newWorld(t, renewing)
	delete(w.env, "KIZO_TOKEN")
	store, err := w.app().sessions(renewing.URL)
	testkit.Must(t, err)
	keep(t, store, client.Credentials{AccessToken: "old", RefreshToken: "r1", ExpiresAt: time.Now().Add(-time.Minute)})
	a = w.app("events")
	if kizo, err = a.kizo(); err != nil {
		t.Fatal(err)
	}
	f = &follower{opts: &eventsOptions{app: a, limit: 1}, kizo: kizo, pause: time.Second, sleep: func(context.Context, time.Duration) error { return nil }}
	testkit.Must(t, f.follow(t.Context()))
	if held, _ := store.Load(t.Context()); held.RefreshToken != "r2" {
		t.Errorf("%+v", held)
	}

	// Before the first event, an error response that is not Kizo's means that the address is wrong.
	newWorld(t, newStreams(t, &asked, page(404))).expect(exitFailure, "events")
}

func TestSomeErrorsEndFollowing(t *testing.T) {
	var asked []string
	s := newStreams(t, &asked, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"code":"session_revoked","detail":"the session has ended"}`)
	})
	newWorld(t, s).expect(exitNotLoggedIn, "events")
	if len(asked) != 1 {
		t.Errorf("asked %d times", len(asked))
	}
}

func TestCtrlCEndsFollowing(t *testing.T) {
	var asked []string
	s := newStreams(t, &asked, sending(false, liveLine, transferLine("a", 1250)))
	x := onTerminal(t, newWorld(t, s), "events")
	x.until("@bob")
	x.types("\x03")
	if code := x.exitCode(); code != exitInterrupted {
		t.Errorf("exit code %d:\n%s", code, x.shown.String())
	}
	if line := x.shown.String(); !strings.Contains(line, "+12.50 USD") || !strings.Contains(line, "from @bob") || strings.Contains(line, "\x1b]52") {
		t.Errorf("%q", line)
	}
}

func TestEventAmountsStayWholeOnANarrowTerminal(t *testing.T) {
	authorized := money.Max
	memo, name := "a memo 山田太郎 that is longer than the terminal is wide, whatever it is", "Bob"
	for _, minor := range []int64{1, 12_50, money.Max / 2} {
		for width := range 130 {
			w := newWorld(t, nil)
			w.terminal, w.width = true, width
			for _, held := range []*int64{nil, &authorized} {
				transfer := client.Transfer{State: client.Posted, Kind: client.TransferKindAuthorization, Direction: client.Out, Amount: minor,
					Currency: "USD", AuthorizedAmount: held, To: client.Party{Handle: &name}, Memo: &memo}
				line := w.app().eventText(client.Event{At: w.now, Transfer: &transfer})
				if !strings.Contains(line, "-"+amountOf(minor, "USD")) || !strings.Contains(line, "posted ") {
					t.Fatalf("%d columns: %q", width, line)
				}
				least := len("posted   ") + max(14, len(amountOf(minor, "USD"))+1)
				if printable.Width(strings.TrimSuffix(line, "\n")) > max(width, least) && width > 0 {
					t.Errorf("%d columns: %q is wider", width, line)
				}
				if strings.Contains(line, " of ") && !strings.Contains(line, " of "+amountOf(authorized, "USD")) {
					t.Errorf("%d columns: %q", width, line)
				}
			}
		}
	}
}
