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

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
)

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) {
		o.before = func(a *api.API) { a.SetHeartbeat(20*time.Millisecond, time.Minute) }
	})
	alice := h.signUp("alice")
	e := h.listen(alice, "", "")
	e.live()
	for range 3 {
		line, err := e.lines.ReadString('\n')
		testkit.Must(t, err)
		testkit.Equal(t, "a comment", strings.HasPrefix(line, ":"), true)
		_, err = e.lines.ReadString('\n')
		testkit.Must(t, err)
	}
	// A heartbeat detects that the client is gone, and the stream ends.
	e.close()
	testkit.Eventually(t, "the stream without a client ends", func() bool { return h.api.OpenStreams() == 0 })
}

// TestStreamsEndWithTheirSession, and with their token and their role.
func TestStreamsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) {
		o.before = func(a *api.API) { a.SetHeartbeat(time.Minute, 30*time.Millisecond) }
	})
	ctx := t.Context()
	for name, end := range map[string]func(u *user){
		"logout":     func(u *user) { h.do(ask{method: "POST", path: "/v1/auth/logout", token: u.access}).want(204) },
		"suspension": func(u *user) { testkit.Must(t, h.auth.Suspend(ctx, u.id, "test")) },
	} {
		u := h.signUp("ended_by_" + name)
		e := h.listen(u, "", "")
		e.live()
		end(u)
		e.wantEnd(name)
	}
	// A token that expires within seconds.
	almost := newAuthAt(t, h.pool, func() time.Time { return time.Now().Add(-15*time.Minute - 8*time.Second) })
	frank := h.signUp("frank")
	tokens, _, err := almost.LogIn(ctx, "frank", password, "", auth.Client{})
	testkit.Must(t, err)
	h.log.keepOut(tokens.AccessToken, tokens.RefreshToken)
	frank.access = tokens.AccessToken
	e := h.listen(frank, "", "")
	e.live()
	e.wantEnd("an old token")
	h.get(frank, "/v1/me").wantProblem(openapi.TokenExpired)

	// An operator whose role has been taken away.
	olga := h.operator()
	e = h.listen(olga, "?ops=true", "")
	e.live()
	h.grant("olga", auth.RoleUser)
	e.wantEnd("an operator's")
}

func TestOperatorsAreShownSnapshots(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	olga, other := h.operator(), h.signUp("other")
	h.grant("other", auth.RoleOperator)
	quiet := h.listen(olga, "", "")
	quiet.live()
	h.ops.take()
	readers := []*eventReader{h.listen(olga, "?ops=true", ""), h.listen(other, "?ops=true", ""), h.listen(olga, "?ops=true", "")}
	for _, e := range readers {
		e.live()
		for range 2 {
			x := e.next()
			testkit.Equal(t, "type", x.kind, "ops")
			testkit.Equal(t, "id", x.id, "")
			var snapshot openapi.OpsSnapshot
			testkit.Must(t, json.Unmarshal([]byte(x.data), &snapshot))
		}
	}
	// One snapshot per second serves all three streams; each has received two.
	if taken := strings.Count(h.ops.take(), "snapshot"); taken < 2 || taken > 4 {
		t.Errorf("%d snapshots were taken", taken)
	}
}

// TestShutdownDoesNotWaitForStreams, nor for a client that does not read.
func TestShutdownDoesNotWaitForStreams(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100_000)
	var readers []*eventReader
	for range 8 {
		e := h.listen(bob, "", "")
		e.live()
		readers = append(readers, e)
	}
	conn := h.dial()
	_, err := fmt.Fprintf(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", bob.access)
	testkit.Must(t, err)
	for range 300 { // conn is never read
		h.post(alice, "/v1/transfers", pay(bob, 1).with("memo", canary+strings.Repeat("x", 120))).want(201)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	began := time.Now()
	testkit.Must(t, h.api.Shutdown(ctx))
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, e := range readers {
		e.wantEnd("at the stop")
	}
}

// TestStreamWriteTimeout: the deadline of a response does not end a stream, and StopStream bounds a
// write to a client that does not read.
func TestStreamWriteTimeout(t *testing.T) {
	t.Parallel()
	server, client := net.Pipe()
	defer client.Close()
	conn := api.StreamConn(server)
	testkit.Must(t, conn.SetWriteDeadline(time.Now().Add(-time.Hour)))
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
	api.StopStream(conn)
	if err := <-failed; err == nil {
		t.Error("the write succeeded")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it hung for %v", took)
	}
}

// TestStreamsOutliveRequests: the timeouts of requests and responses do not end a stream.
func TestStreamsOutliveRequests(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) {
		o.before = func(a *api.API) {
			a.SetTimeout(300 * time.Millisecond)
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
		testkit.Must(t, err)
	}
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 5)).want(201))
	testkit.Equal(t, "event", e.next().transfer(t).Transfer.Id, sent.Id)
}

// TestStreamsOutliveTheDatabase: streams survive a lost database and then send what they missed.
func TestStreamsOutliveTheDatabase(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) {
		o.before = func(a *api.API) { a.SetHeartbeat(50*time.Millisecond, 50*time.Millisecond) }
	})
	alice, bob := h.pair(1000)
	e := h.listen(bob, "", "")
	e.live()
	h.network.cut()
	for range 10 {
		_, err := e.lines.ReadString('\n')
		testkit.Must(t, err)
	}
	h.network.restore()
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 5)).want(201))
	testkit.Equal(t, "event", e.next().transfer(t).Transfer.Id, sent.Id)
}

// BenchmarkPostedToReceived measures the time from the answer to a transfer to its event in the
// payee's stream, over a TCP connection.
func BenchmarkPostedToReceived(b *testing.B) {
	h := newFixture(b)
	alice, bob := h.pair(1_000_000_000)
	e := h.listen(bob, "", "")
	e.live()
	received := make(chan time.Time)
	go func() {
		for {
			line, err := e.lines.ReadString('\n')
			if err != nil {
				return // the benchmark is over
			}
			if strings.HasPrefix(line, "data:") {
				received <- time.Now()
			}
		}
	}()
	var took []time.Duration
	for b.Loop() {
		h.post(alice, "/v1/transfers", pay(bob, 1))
		posted := time.Now()
		took = append(took, (<-received).Sub(posted))
	}
	slices.Sort(took)
	for name, at := range map[string]int{"p50-ms": 50, "p95-ms": 95, "p99-ms": 99} {
		b.ReportMetric(float64(took[min(len(took)*at/100, len(took)-1)].Microseconds())/1000, name)
	}
}

// TestLiveWaitsForOpenTransactions: an event that was committed before the request is sent before
// "live", although an older open transaction hides it when the stream begins. The test runs alone:
// the stream waits for at most a second, and open transactions of other tests in the same cluster
// hide events as well.
func TestLiveWaitsForOpenTransactions(t *testing.T) {
	h := newFixture(t)
	alice, bob := h.pair(1000)
	h.listen(bob, "", "").live()
	tx, err := h.pool.Begin(t.Context())
	testkit.Must(t, err)
	_, err = tx.Exec(t.Context(), `SELECT pg_current_xact_id()`)
	testkit.Must(t, err)
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 5)).want(201))
	e := h.listen(bob, "", "")
	testkit.Must(t, tx.Commit(t.Context()))
	before, _ := e.live()
	if len(before) == 0 || before[len(before)-1].transfer(t).Transfer.Id != sent.Id {
		t.Errorf("received %v before live", before)
	}
}
