package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
)

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *options) {
		o.before = func(a *api.API) { a.SetHeartbeat(20*time.Millisecond, time.Minute) }
	})
	alice := h.signUp("alice")
	e := h.listen(alice, "", "")
	e.live()
	for range 3 {
		line, err := e.lines.ReadString('\n')
		must(t, err)
		equal(t, "a comment", strings.HasPrefix(line, ":"), true)
		_, err = e.lines.ReadString('\n')
		must(t, err)
	}
	// A reader who is gone is noticed by it, and gives its place back.
	e.close()
	deadline := time.Now().Add(10 * time.Second)
	for h.api.OpenStreams() > 0 {
		if time.Now().After(deadline) {
			t.Fatal("a stream without a reader stays open")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A stream may do what its token and session may, and no longer.
func TestStreamsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *options) {
		o.before = func(a *api.API) { a.SetHeartbeat(time.Minute, 30*time.Millisecond) }
	})
	ctx := t.Context()
	for name, end := range map[string]func(u *user){
		"logout":     func(u *user) { h.do(ask{method: "POST", path: "/v1/auth/logout", token: u.access}).want(204) },
		"suspension": func(u *user) { must(t, h.auth.Suspend(ctx, u.id, "test")) },
	} {
		u := h.signUp("ended_by_" + name)
		e := h.listen(u, "", "")
		e.live()
		end(u)
		e.wantEnd(name)
	}
	// A token that runs out: signed so long ago that seconds are left of it.
	almost := newAuthAt(t, h.pool, func() time.Time { return time.Now().Add(-15*time.Minute - 8*time.Second) })
	frank := h.signUp("frank")
	tokens, _, err := almost.LogIn(ctx, "frank", password, auth.Client{})
	must(t, err)
	h.log.keepOut(tokens.AccessToken, tokens.RefreshToken)
	frank.access = tokens.AccessToken
	e := h.listen(frank, "", "")
	e.live()
	e.wantEnd("an old token")
	h.get(frank, "/v1/me").wantProblem(openapi.TokenExpired)

	// An operator who is one no more.
	olga := h.operator()
	e = h.listen(olga, "?ops=true", "")
	e.live()
	h.grant("olga", auth.RoleUser)
	e.wantEnd("an operator's")
}

func TestOperatorsAreShownSnapshots(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	olga, other := h.operator(), h.signUp("other")
	h.grant("other", auth.RoleOperator)
	quiet := h.listen(olga, "", "")
	quiet.live()
	h.desk.take()
	ears := []*ear{h.listen(olga, "?ops=true", ""), h.listen(other, "?ops=true", ""), h.listen(olga, "?ops=true", "")}
	for _, e := range ears {
		e.live()
		for range 2 {
			x := e.next()
			equal(t, "type", x.kind, "ops")
			equal(t, "id", x.id, "")
			var snapshot openapi.OpsSnapshot
			must(t, json.Unmarshal([]byte(x.data), &snapshot))
		}
	}
	// One a second for all: each of three has had two.
	if taken := strings.Count(h.desk.take(), "snapshot"); taken < 2 || taken > 4 {
		t.Errorf("%d snapshots were taken", taken)
	}
}

// Stopping ends streams at once, also that of a reader who does not read.
func TestShutdownDoesNotWaitForStreams(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob := h.pair(100_000)
	var ears []*ear
	for range 8 {
		e := h.listen(bob, "", "")
		e.live()
		ears = append(ears, e)
	}
	conn := h.dial()
	_, err := fmt.Fprintf(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", bob.access)
	must(t, err)
	for range 300 { // never read by that one
		h.post(alice, "/v1/transfers", pay(bob, 1).with("memo", canary+strings.Repeat("x", 120))).want(201)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	began := time.Now()
	must(t, h.api.Shutdown(ctx))
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, e := range ears {
		e.wantEnd("at the stop")
	}
}

// A reader who does not read holds nobody up for long once we want to stop, and the
// server's own deadline for a response does not count.
func TestAWriteThatHangs(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	conn := api.StreamConn(ours)
	must(t, conn.SetWriteDeadline(time.Now().Add(-time.Hour)))
	failed := make(chan error, 1)
	began := time.Now()
	go func() {
		_, err := conn.Write([]byte("x"))
		failed <- err
	}()
	select {
	case err := <-failed:
		t.Fatalf("the deadline of a response ended a stream: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	api.HurryUp(conn)
	if err := <-failed; err == nil {
		t.Error("it was written")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it hung for %v", took)
	}
}

// The connection outlives the server's bounds on requests and answers.
func TestStreamsOutliveRequests(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *options) {
		o.before = func(a *api.API) {
			a.SetPatience(300 * time.Millisecond)
			a.SetWriteTimeout(300 * time.Millisecond)
			a.SetReadTimeout(300 * time.Millisecond)
			a.SetHeartbeat(100*time.Millisecond, 100*time.Millisecond)
		}
	})
	alice, bob := h.pair(1000)
	e := h.listen(bob, "", "")
	e.live()
	for began := time.Now(); time.Since(began) < time.Second; { // heartbeats
		_, err := e.lines.ReadString('\n')
		must(t, err)
	}
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 5)).want(201))
	equal(t, "told", e.next().transfer(t).Transfer.Id, sent.Id)
}

// While the database is away streams stay, and tell what they missed.
func TestStreamsOutliveTheDatabase(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *options) {
		o.before = func(a *api.API) { a.SetHeartbeat(50*time.Millisecond, 50*time.Millisecond) }
	})
	alice, bob := h.pair(1000)
	e := h.listen(bob, "", "")
	e.live()
	h.wire.cut()
	for range 10 {
		_, err := e.lines.ReadString('\n')
		must(t, err)
	}
	h.wire.mend()
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 5)).want(201))
	equal(t, "told", e.next().transfer(t).Transfer.Id, sent.Id)
}

// BenchmarkPostedToReceived prints how long after the answer to a transfer its event
// reaches the other's stream, over a real socket.
func BenchmarkPostedToReceived(b *testing.B) {
	h := newHouse(b)
	alice, bob := h.pair(1_000_000_000)
	e := h.listen(bob, "", "")
	e.live()
	heard := make(chan time.Time)
	go func() {
		for {
			line, err := e.lines.ReadString('\n')
			if err != nil {
				return // the benchmark is over
			}
			if strings.HasPrefix(line, "data:") {
				heard <- time.Now()
			}
		}
	}()
	var took []time.Duration
	for b.Loop() {
		h.post(alice, "/v1/transfers", pay(bob, 1))
		posted := time.Now()
		took = append(took, (<-heard).Sub(posted))
	}
	slices.Sort(took)
	for name, at := range map[string]int{"p50-ms": 50, "p95-ms": 95, "p99-ms": 99} {
		b.ReportMetric(float64(took[min(len(took)*at/100, len(took)-1)].Microseconds())/1000, name)
	}
}

// What was committed before the request is told before "live", although an older
// transaction hides it when the stream begins. The test runs alone: the stream waits
// for a second at most, and transactions of other tests in the same cluster hide
// events as well.
func TestLiveWaitsForWhatIsHidden(t *testing.T) {
	h := newHouse(t)
	alice, bob := h.pair(1000)
	h.listen(bob, "", "").live()
	tx, err := h.pool.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), `SELECT pg_current_xact_id()`)
	must(t, err)
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 5)).want(201))
	e := h.listen(bob, "", "")
	must(t, tx.Commit(t.Context()))
	before, _ := e.live()
	if len(before) == 0 || before[len(before)-1].transfer(t).Transfer.Id != sent.Id {
		t.Errorf("told %v before it was live", before)
	}
}
