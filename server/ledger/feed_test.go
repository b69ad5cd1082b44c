package ledger_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

// TestEventsAreDeliveredOnceUnderWriters: several kizod processes write concurrently, some
// transactions commit late, and a reader reconnects again and again. It must receive every event
// exactly once, in order.
func TestEventsAreDeliveredOnceUnderWriters(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	const writers, each, minBreaks = 4, 60, 3
	alice, bob := h.user(1_000_000), h.user(1_000_000)
	began := h.everythingSoFar()
	var (
		mu      sync.Mutex
		written []uuid.UUID
		writing sync.WaitGroup
		breaks  atomic.Int64 // how often the reader was disconnected
	)
	record := func(id uuid.UUID) {
		mu.Lock()
		defer mu.Unlock()
		written = append(written, id)
	}
	for w := range writers {
		l := h.another(ledger.Config{})
		writing.Go(func() {
			for i := range each {
				from, to := alice, bob
				if (w+i)%2 == 0 {
					from, to = bob, alice
				}
				r, err := l.Transfer(context.Background(), ledger.TransferRequest{Owner: from, Key: newKey(), Payee: to, Amount: usd(1)})
				if err != nil {
					t.Error(err)
					return
				}
				record(r.Transfer.ID)
			}
		})
	}
	writing.Go(func() {
		// Events keep coming until the reader was disconnected often enough, however slow it is.
		for n := 0; n < 15 || breaks.Load() < minBreaks && t.Context().Err() == nil; n++ {
			late := h.beginLate(alice, bob)
			h.pay(bob, alice, 1) // not recorded: it only has to commit before late
			late.commit()
			record(late.transfer)
		}
	})
	finished := make(chan struct{})
	go func() {
		writing.Wait()
		close(finished)
	}()

	received := map[uuid.UUID]int{}
	position := began
	receive := func(e *ledger.Event) {
		if !e.Position.After(position) {
			return // it was read from the table already
		}
		position = e.Position
		received[e.Transfer.ID]++
	}
	for done := false; !done; breaks.Add(1) {
		select {
		case <-finished:
			done = true
		default:
		}
		x, err := h.Listen(t.Context(), bob)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range h.past(bob, position, x.From, 7) {
			receive(e)
		}
		for range 5 {
			select {
			case e := <-x.Events:
				receive(e)
			case <-finished:
			}
		}
		x.Close() // the events in its buffer are lost
	}
	for _, e := range h.past(bob, position, h.everythingSoFar(), 100) {
		receive(e)
	}
	for _, id := range written {
		if received[id] != 1 {
			t.Errorf("transfer %s was received %d times", id, received[id])
		}
	}
	if breaks.Load() < minBreaks {
		t.Errorf("the reader was disconnected only %d times", breaks.Load())
	}
	t.Logf("%d transfers written, %d received, %d disconnects", len(written), len(received), breaks.Load())
}

func TestEventsAreShownToTheirUsersOnly(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob, carol := h.user(100), h.user(0), h.user(100)
	began := h.everythingSoFar()
	listeners := map[ledger.UserID]*ledger.Listener{alice: h.listen(alice), bob: h.listen(bob), carol: h.listen(carol)}
	refused := func(from, to ledger.UserID) uuid.UUID {
		_, err := h.Transfer(t.Context(), ledger.TransferRequest{Owner: from, Key: newKey(), Payee: to, Amount: usd(1000)})
		return wantCode(t, err, ledger.InsufficientFunds).Transfer.ID
	}
	first := h.pay(alice, bob, 1).ID
	refusedToBob := refused(alice, bob) // bob does not see what alice sends without money
	last := h.pay(carol, bob, 1).ID
	refusedToAlice := refused(carol, alice)
	want := map[ledger.UserID][]uuid.UUID{alice: {first, refusedToBob}, bob: {first, last}, carol: {last, refusedToAlice}}
	end := h.everythingSoFar()
	for user, ids := range want {
		var live, table []uuid.UUID
		for range ids {
			live = append(live, next(t, listeners[user]).Transfer.ID)
		}
		for _, e := range h.past(user, began, end, 1) {
			table = append(table, e.Transfer.ID)
		}
		if !slices.Equal(live, ids) || !slices.Equal(table, ids) {
			t.Errorf("received %v, read %v from the table, want %v", live, table, ids)
		}
	}
	h.morePages(2)
	for user, x := range listeners {
		if len(x.Events) > 0 {
			t.Errorf("%s received another event: %+v", user, *<-x.Events)
		}
	}
}

// TestListenerReceivesEventsOfNewWallet: a listener receives the events of a wallet that its user
// opens later.
func TestListenerReceivesEventsOfNewWallet(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.userWithoutWallet()
	x := h.listen(bob)
	if _, err := h.OpenWallet(t.Context(), bob, "USD"); err != nil {
		t.Fatal(err)
	}
	sent := h.pay(alice, bob, 1)
	if e := next(t, x); e.Transfer.ID != sent.ID {
		t.Errorf("received %s, want %s", e.Transfer.ID, sent.ID)
	}
}

func TestListenersShareOneReader(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(1000), h.user(0)
	if read, running := ledger.Pages(h.Ledger); running || read > 0 {
		t.Fatalf("the feed has read %d pages without a listener", read)
	}
	h.everythingSoFar() // the listeners begin after the event of alice's deposit
	var listeners []*ledger.Listener
	for range 16 {
		listeners = append(listeners, h.listen(alice), h.listen(bob))
	}
	h.everythingSoFar()
	read, _ := ledger.Pages(h.Ledger)
	began := time.Now()
	for i := range 10 {
		sent := h.pay(alice, bob, int64(i+1))
		for _, x := range listeners {
			if e := next(t, x); e.Transfer.ID != sent.ID {
				t.Fatalf("received %s, want %s", e.Transfer.ID, sent.ID)
			}
		}
	}
	after, _ := ledger.Pages(h.Ledger)
	// The feed reads at most one page in 5 ms; one reader for each listener would read 32.
	if maxPages := int(time.Since(began)/(5*time.Millisecond)) + 10; after-read > maxPages {
		t.Errorf("%d pages in %v", after-read, time.Since(began))
	}
	for _, x := range listeners {
		x.Close()
		x.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, running := ledger.Pages(h.Ledger); !running {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("the feed still reads without a listener")
		}
	}
	// It starts again with the next listener.
	x := h.listen(bob)
	if sent := h.pay(alice, bob, 5); next(t, x).Transfer.ID != sent.ID {
		t.Error("received another transfer")
	}
}

// TestSlowListenerIsDisconnected: a listener that does not read is disconnected. It does not delay
// other listeners, and finds the rest of its events in the table.
func TestSlowListenerIsDisconnected(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_000), h.user(0)
	began := h.everythingSoFar()
	slow, fast := h.listen(bob), h.listen(bob)
	const sent = 700 // more than a listener's buffer
	// Half a buffer of payments may be ahead of the fast listener: however late the events can be
	// read, it is not disconnected as well.
	ahead := make(chan struct{}, 256)
	var paying sync.WaitGroup
	for range 10 {
		paying.Go(func() {
			for range sent / 10 {
				ahead <- struct{}{}
				if _, err := h.Transfer(context.Background(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range sent {
		next(t, fast)
		<-ahead
	}
	paying.Wait()
	var last ledger.Position
	read := 0
	for e := range slow.Events { // the buffered events; then the channel is closed
		last = e.Position
		read++
	}
	if read == 0 || read >= sent {
		t.Fatalf("the slow listener received %d of %d", read, sent)
	}
	rest := h.past(bob, last, h.everythingSoFar(), 100)
	if read+len(rest) != sent {
		t.Errorf("%d before it was disconnected and %d after, want %d in all", read, len(rest), sent)
	}
	if all := h.past(bob, began, h.horizon(), 1000); len(all) != sent {
		t.Errorf("%d in the table", len(all))
	}
}

func TestListenersAreBounded(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(0), h.user(0)
	for range 16 {
		h.listen(alice)
	}
	_, err := h.Listen(t.Context(), alice)
	wantCode(t, err, ledger.TooManyStreams)
	h.listen(bob)

	small := ledger.Open(ledger.Config{Pool: h.pool, MaxListeners: 1})
	x, err := small.Listen(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	_, err = small.Listen(t.Context(), bob)
	wantCode(t, err, ledger.Unavailable)
	// Close disconnects all listeners.
	if err := small.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, open := <-x.Events; open {
		t.Error("the channel is open after Close")
	}
	_, err = small.Listen(t.Context(), alice)
	wantCode(t, err, ledger.Unavailable)
}

func TestPositionAtATime(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	if p, err := h.PositionAt(t.Context(), time.Now().Add(-time.Hour)); err != nil || p != (ledger.Position{}) {
		t.Errorf("without any event: %v, %v", p, err)
	}
	_, err := h.PositionAt(t.Context(), time.Now().Add(time.Hour))
	wantCode(t, err, ledger.TimeInFuture)

	// A long history with an event every ten seconds. Ids are missing, as after failed
	// transactions, and some times decrease a little, as those of concurrent transactions do.
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(n int) time.Time { return start.Add(time.Duration(n*10-n%3*4) * time.Second) }
	owner := testkit.Connect(t, h.db.AdminURL)
	if _, err := owner.Exec(t.Context(), `INSERT INTO events (id, xid, transfer_id, state, debit_account, credit_account, at, digest)
		OVERRIDING SYSTEM VALUE
		SELECT n, (n / 2 + 3)::text::xid8, gen_random_uuid(), 'posted', 0, 0, $1::timestamptz + (n * 10 - n % 3 * 4) * interval '1 second', sha256('')
		FROM generate_series(1, 3000) n WHERE n % 7 <> 0`, start); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 8, 100, 1499, 1500, 2999, 3000} {
		p, err := h.PositionAt(t.Context(), at(n))
		if err != nil {
			t.Fatal(err)
		}
		// All events from that time on are after the position, and at most 20 older ones.
		if first := ledger.PositionOf(uint64(n/2+3), int64(n)); !first.After(p) {
			t.Errorf("the position at event %d is after the event", n)
		}
		if old := ledger.PositionOf(uint64(max(n-20, 0)/2+3), int64(max(n-20, 0))); n > 20 && old.After(p) {
			t.Errorf("the position at event %d is more than 20 events before it", n)
		}
	}
}

// BenchmarkCommitToListener measures the time from the answer to the COMMIT until a listener has
// received the event.
func BenchmarkCommitToListener(b *testing.B) {
	h := newFixture(b)
	alice, bob := h.user(1_000_000_000), h.user(0)
	x := h.listen(bob)
	var took []time.Duration
	for b.Loop() {
		h.pay(alice, bob, 1)
		committed := time.Now()
		next(b, x)
		took = append(took, time.Since(committed))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
}
