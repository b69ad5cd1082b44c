package server_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// client returns a client as the command line and the dashboard use it.
func (p *user) client() *client.Client {
	p.t.Helper()
	k, err := client.New(client.Config{Server: p.url, Tokens: client.StaticToken(p.token)})
	testkit.Must(p.t, err)
	return k
}

func (p *user) follow(since string, ops bool) *client.EventStream {
	p.t.Helper()
	s, err := p.client().Events(p.t.Context(), client.EventOptions{Since: since, Ops: ops})
	testkit.Must(p.t, err)
	p.t.Cleanup(func() { _ = s.Close() })
	return s
}

// An open stream does not delay Close. A client that reconnects to another kizod with the position
// of its last event gets every event that it missed.
func TestEventStreamResumesOnAnotherServer(t *testing.T) {
	t.Parallel()
	c := config(t, pgtest.New(t).AppURL)
	c.DrainTimeout = time.Minute
	first, second := start(t, c), start(t, c)
	alice, bob := signUp(t, first.URL(), "alice"), signUp(t, first.URL(), "bob")
	_, err := alice.post("/v1/deposits", 0, usd(5_00)) // stays pending: there is no bank
	testkit.Must(t, err)
	alice.url, bob.url = second.URL(), second.URL()
	_, err = bob.post("/v1/deposits", 0, usd(7_00))
	testkit.Must(t, err)

	var amounts []int64
	stream, last := (&user{t, first.URL(), "bob", bob.token}).follow(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), false), ""
	read := func(until func(client.Event) bool) error {
		for {
			e, err := stream.Next()
			if err != nil {
				return err
			}
			if e.ID != "" {
				last = e.ID
			}
			if e.Type == client.EventTransfer {
				amounts = append(amounts, e.Transfer.Amount)
			}
			if until(e) {
				return nil
			}
		}
	}
	live := func(e client.Event) bool { return e.Type == client.EventLive }
	testkit.Must(t, read(live))
	began := time.Now()
	testkit.Must(t, first.Close())
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a stream delayed Close by %v", took)
	}
	if err := read(func(client.Event) bool { return false }); err == nil {
		t.Error("the stream did not end")
	}
	_, err = bob.post("/v1/deposits", 0, usd(8_00)) // while no stream is open
	testkit.Must(t, err)
	stream = bob.follow(last, false)
	testkit.Must(t, read(live))
	_, err = bob.post("/v1/deposits", 0, usd(9_00))
	testkit.Must(t, err)
	testkit.Must(t, read(func(e client.Event) bool { return e.Type == client.EventTransfer && e.Transfer.Amount == 9_00 }))
	if want := []int64{7_00, 8_00, 9_00}; !slices.Equal(amounts, want) {
		t.Errorf("got events of %v, want %v", amounts, want)
	}
}

// A kizod with all roles fills every field of a snapshot.
func TestSnapshotsForOperators(t *testing.T) {
	t.Parallel()
	dir := pgtest.TempDir(t)
	d := startDev(t, server.DevConfig{Dir: dir, RedisInProcess: true})
	alice, olga := signUp(t, d.URL(), "alice"), signUp(t, d.URL(), "olga")
	_, err := alice.client().Events(t.Context(), client.EventOptions{Ops: true})
	if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Code != client.Forbidden {
		t.Fatalf("a user who is no operator gets snapshots: %v", err)
	}
	execute(t, d.OwnerURL(), `UPDATE users SET role = 'operator' WHERE handle = 'olga'`)
	stream := olga.follow("", true)
	next := func(enough func(*client.OpsSnapshot) bool) *client.OpsSnapshot {
		for range 30 {
			e, err := stream.Next()
			testkit.Must(t, err)
			if e.Ops != nil && enough(e.Ops) {
				return e.Ops
			}
		}
		t.Fatal("not in thirty snapshots")
		return nil
	}
	next(func(*client.OpsSnapshot) bool { return true })
	alice.mustPost("/v1/deposits", usd(100_00))
	settled := next(func(s *client.OpsSnapshot) bool { return s.Settlement != nil && s.Settlement.Count > 0 })
	if p50 := settled.Settlement.P50Ms; p50 == nil || *p50 <= 0 || *p50 > *settled.Settlement.P99Ms {
		t.Errorf("settlement: %+v", settled.Settlement)
	}
	if settled.IntervalMs < 500 || settled.IntervalMs > 10_000 || settled.Database.BatchSize == nil || !settled.Database.Ok || !settled.RedisOk {
		t.Errorf("%+v", settled)
	}
	if settled.Queues == nil || (*settled.Queues)[0].Name != "bank" || settled.BankBreaker == nil || *settled.BankBreaker != "closed" {
		t.Errorf("%+v", settled)
	}
	next(func(*client.OpsSnapshot) bool { // the history, which has the payment too, once its second has ended
		h, err := olga.client().History(t.Context(), "second")
		testkit.Must(t, err)
		settledAt := slices.IndexFunc(h.Settlement.P99Ms, func(p99 *float32) bool { return p99 != nil && *p99 > 0 })
		return settledAt >= 0 && len(h.Settlement.P99Ms) == h.Samples && h.Queues[0].Name == "bank" && h.Queues[0].Waiting[settledAt] != nil
	})
	full := next(func(s *client.OpsSnapshot) bool {
		return s.Workers != nil && s.Workers.Servers == 1 && s.Janitor != nil
	})
	if full.LastAudit != nil || full.Janitor.NeedsReview != 0 || full.Workers.Slots == 0 {
		t.Errorf("%+v", full)
	}
	_, err = olga.client().Audit(t.Context(), true)
	if problem, ok := errors.AsType[*client.Error](err); !ok || problem.Code != client.NoSignedAudit {
		t.Errorf("an incremental audit before a full one: %v", err)
	}
	for _, incremental := range []bool{false, true} {
		report, err := olga.client().Audit(t.Context(), incremental)
		if err != nil || !report.Ok || !*report.Signed || (report.Since != nil) != incremental {
			t.Errorf("incremental %v: %+v, %v", incremental, report, err)
		}
	}
	if audited := next(func(s *client.OpsSnapshot) bool { return s.LastAudit != nil }); !audited.LastAudit.Ok {
		t.Errorf("%+v", audited.LastAudit)
	}
	quiet := next(func(s *client.OpsSnapshot) bool { return s.Settlement.Count == 0 })
	if quiet.Settlement.P50Ms != nil || quiet.Settlement.PerSecond != 0 {
		t.Errorf("nothing was settled, but the snapshot has %+v", quiet.Settlement)
	}
}

// A kizod without worker, janitor and Redis leaves out what it cannot know.
func TestSnapshotsOmitUnknownValues(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	c := config(t, db.AppURL)
	c.OperatorsWithoutSecondFactor = true
	s := start(t, c)
	olga := signUp(t, s.URL(), "olga")
	execute(t, db.AdminURL, `UPDATE users SET role = 'operator' WHERE handle = 'olga'`)
	stream := olga.follow("", true)
	for {
		e, err := stream.Next()
		testkit.Must(t, err)
		if e.Ops == nil {
			continue
		}
		o := e.Ops
		if o.Settlement != nil || o.BankBreaker != nil || o.Queues != nil || o.Workers != nil || o.RedisOk || o.LastAudit != nil {
			t.Errorf("it has values that it cannot know: %+v", o)
		}
		if !o.Database.Ok || o.Janitor == nil {
			t.Errorf("values of the database are missing: %+v", o)
		}
		return
	}
}
