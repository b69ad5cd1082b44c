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

// Several kizods write at once, some transactions dawdle, and a reader is cut off
// again and again: it must be told every event once, in one order.
func TestNothingIsLostOrDoubledUnderWriters(t *testing.T) {
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
	note := func(id uuid.UUID) {
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
				note(r.Transfer.ID)
			}
		})
	}
	writing.Go(func() {
		// Events keep coming until the reader was disconnected often enough, however slow it is.
		for n := 0; n < 15 || breaks.Load() < minBreaks && t.Context().Err() == nil; n++ {
			late := h.beginLate(alice, bob)
			h.pay(bob, alice, 1) // not noted: it is only to be overtaken
			late.commit()
			note(late.transfer)
		}
	})
	finished := make(chan struct{})
	go func() {
		writing.Wait()
		close(finished)
	}()

	told := map[uuid.UUID]int{}
	position := began
	tell := func(e *ledger.Event) {
		if !e.Position.After(position) {
			return // from the table already
		}
		position = e.Position
		told[e.Transfer.ID]++
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
			tell(e)
		}
		for range 5 {
			select {
			case e := <-x.Events:
				tell(e)
			case <-finished:
			}
		}
		x.Close() // whatever waits in it is thrown away
	}
	for _, e := range h.past(bob, position, h.everythingSoFar(), 100) {
		tell(e)
	}
	for _, id := range written {
		if told[id] != 1 {
			t.Errorf("transfer %s was told %d times", id, told[id])
		}
	}
	if breaks.Load() < minBreaks {
		t.Errorf("the reader was disconnected only %d times", breaks.Load())
	}
	t.Logf("%d transfers, %d told, %d disconnects", len(written), len(told), breaks.Load())
}

func TestEventsAreTheirOwnersAlone(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob, carol := h.user(100), h.user(0), h.user(100)
	began := h.everythingSoFar()
	ears := map[uuid.UUID]*ledger.Listener{alice: h.listen(alice), bob: h.listen(bob), carol: h.listen(carol)}
	refused := func(from, to uuid.UUID) uuid.UUID {
		_, err := h.Transfer(t.Context(), ledger.TransferRequest{Owner: from, Key: newKey(), Payee: to, Amount: usd(1000)})
		return wantCode(t, err, ledger.InsufficientFunds).Transfer.ID
	}
	first := h.pay(alice, bob, 1).ID
	no := refused(alice, bob) // bob is spared what alice writes without a cent
	last := h.pay(carol, bob, 1).ID
	none := refused(carol, alice)
	want := map[uuid.UUID][]uuid.UUID{alice: {first, no}, bob: {first, last}, carol: {last, none}}
	end := h.everythingSoFar()
	for user, ids := range want {
		var live, table []uuid.UUID
		for range ids {
			live = append(live, next(t, ears[user]).Transfer.ID)
		}
		for _, e := range h.past(user, began, end, 1) {
			table = append(table, e.Transfer.ID)
		}
		if !slices.Equal(live, ids) || !slices.Equal(table, ids) {
			t.Errorf("told live %v, from the table %v, want %v", live, table, ids)
		}
	}
	h.morePages(2)
	for user, x := range ears {
		if len(x.Events) > 0 {
			t.Errorf("%s is told more: %+v", user, *<-x.Events)
		}
	}
}

// A wallet that is opened while its owner listens is listened to as well.
func TestANewWalletIsHeard(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), uuid.Must(uuid.NewV7())
	x := h.listen(bob)
	if _, err := h.OpenWallet(t.Context(), bob, "USD"); err != nil {
		t.Fatal(err)
	}
	sent := h.pay(alice, bob, 1)
	if e := next(t, x); e.Transfer.ID != sent.ID {
		t.Errorf("told %s", e.Transfer.ID)
	}
}

func TestOneReaderHoweverManyListen(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(1000), h.user(0)
	if read, running := ledger.Pages(h.Ledger); running || read > 0 {
		t.Fatalf("it reads with nobody listening: %d pages", read)
	}
	h.everythingSoFar() // and now alice's deposit is the past
	var ears []*ledger.Listener
	for range 16 {
		ears = append(ears, h.listen(alice), h.listen(bob))
	}
	h.everythingSoFar()
	read, _ := ledger.Pages(h.Ledger)
	began := time.Now()
	for i := range 10 {
		sent := h.pay(alice, bob, int64(i+1))
		for _, x := range ears {
			if e := next(t, x); e.Transfer.ID != sent.ID {
				t.Fatalf("told %s, want %s", e.Transfer.ID, sent.ID)
			}
		}
	}
	after, _ := ledger.Pages(h.Ledger)
	// At most a page every 5 ms, where 32 readers would read 32.
	if most := int(time.Since(began)/(5*time.Millisecond)) + 10; after-read > most {
		t.Errorf("%d pages in %v", after-read, time.Since(began))
	}
	for _, x := range ears {
		x.Close()
		x.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, running := ledger.Pages(h.Ledger); !running {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("it goes on reading for nobody")
		}
	}
	// And begins again for the next.
	x := h.listen(bob)
	if sent := h.pay(alice, bob, 5); next(t, x).Transfer.ID != sent.ID {
		t.Error("another transfer was told")
	}
}

// Who does not read is cut off, holds up nobody, and finds the rest in the table.
func TestASlowListenerIsCutOff(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_000), h.user(0)
	began := h.everythingSoFar()
	slow, keen := h.listen(bob), h.listen(bob)
	const sent = 700 // more than a listener's buffer
	var paying sync.WaitGroup
	for range 10 {
		paying.Go(func() {
			for range sent / 10 {
				if _, err := h.Transfer(context.Background(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range sent {
		next(t, keen)
	}
	paying.Wait()
	var last ledger.Position
	read := 0
	for e := range slow.Events { // what was in time, and then it is closed
		last = e.Position
		read++
	}
	if read == 0 || read >= sent {
		t.Fatalf("the slow one was told %d of %d", read, sent)
	}
	rest := h.past(bob, last, h.everythingSoFar(), 100)
	if read+len(rest) != sent {
		t.Errorf("%d before it was cut off and %d after, want %d in all", read, len(rest), sent)
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
	// Closing cuts all off.
	if err := small.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, open := <-x.Events; open {
		t.Error("told something")
	}
	_, err = small.Listen(t.Context(), alice)
	wantCode(t, err, ledger.Unavailable)
}

func TestPositionAtATime(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	if p, err := h.PositionAt(t.Context(), time.Now().Add(-time.Hour)); err != nil || p != (ledger.Position{}) {
		t.Errorf("with no events at all: %v, %v", p, err)
	}
	_, err := h.PositionAt(t.Context(), time.Now().Add(time.Hour))
	wantCode(t, err, ledger.TimeInFuture)

	// A long history, an event every ten seconds and holes where transactions failed;
	// times go back a little now and then, as they do where two ran at once.
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
		// Nothing from that time on lies before it, and little that is older behind it.
		if first := ledger.PositionOf(uint64(n/2+3), int64(n)); !first.After(p) {
			t.Errorf("the position at event %d lies behind it", n)
		}
		if old := ledger.PositionOf(uint64(max(n-20, 0)/2+3), int64(max(n-20, 0))); n > 20 && old.After(p) {
			t.Errorf("the position at event %d lies more than 20 events before it", n)
		}
	}
}

// From the commit's answer to the listener's hands.
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
