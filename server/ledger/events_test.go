package ledger_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

// listen listens for a user until the test ends.
func (h *fixture) listen(user ledger.UserID) *ledger.Listener {
	h.t.Helper()
	x, err := h.Listen(h.t.Context(), user)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(x.Close)
	return x
}

// next waits for the next event of a listener.
func next(t testing.TB, x *ledger.Listener) *ledger.Event {
	t.Helper()
	select {
	case e, ok := <-x.Events:
		if !ok {
			t.Fatal("the listener was disconnected")
		}
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event was received")
		return nil
	}
}

// past returns the events of a user after one position and up to another, read from the table in
// pages of this size.
func (h *fixture) past(user ledger.UserID, after, upTo ledger.Position, page int) []*ledger.Event {
	h.t.Helper()
	var all []*ledger.Event
	for {
		events, next, more, err := h.EventsOf(h.t.Context(), user, after, upTo, page)
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, events...)
		if !more {
			return all
		}
		if !next.After(after) {
			h.t.Fatal("the next position is not after the page")
		}
		after = next
	}
}

func (h *fixture) horizon() ledger.Position {
	h.t.Helper()
	p, err := h.Horizon(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// everythingSoFar waits until all events committed so far are below the horizon, and returns a
// position after them. Transactions in the databases of other tests keep the horizon back as well.
func (h *fixture) everythingSoFar() ledger.Position {
	h.t.Helper()
	conn := testkit.Connect(h.t, h.db.AppURL)
	var mine uint64
	if err := conn.QueryRow(h.t.Context(), `SELECT event_number(pg_current_xact_id())`).Scan(&mine); err != nil {
		h.t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		p := h.horizon()
		if p.After(ledger.PositionOf(mine, 0)) {
			return p
		}
		if time.Now().After(deadline) {
			h.t.Fatal("the horizon does not move")
		}
	}
}

func (h *fixture) pay(from, to ledger.UserID, minor int64) ledger.Transfer {
	h.t.Helper()
	r, err := h.Transfer(h.t.Context(), ledger.TransferRequest{Owner: from, Key: newKey(), Payee: to, Amount: usd(minor)})
	if err != nil {
		h.t.Fatal(err)
	}
	return r.Transfer
}

func TestParsePosition(t *testing.T) {
	t.Parallel()
	p := ledger.PositionOf(12345, 678)
	back, err := ledger.ParsePosition(p.String())
	if err != nil || back != p {
		t.Fatalf("%v, %v", back, err)
	}
	for _, bad := range []string{"", "x", "2026-01-31T12:00:00Z", p.String() + "A", p.String()[:21], "_____________________w"} {
		if _, err := ledger.ParsePosition(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// TestEventsContainTransfersAsOfTheEvent: an event contains the transfer in the state that the
// event is about, which is the state that its digest covers, and not the state that the transfer
// has now.
func TestEventsContainTransfersAsOfTheEvent(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	from := h.everythingSoFar()
	sent := h.pay(alice, bob, 5_00)
	if _, err := h.Reverse(t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: sent.ID, Amount: 1_00}); err != nil {
		t.Fatal(err)
	}
	held, err := h.Authorize(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(7_00)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Capture(t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: held.Transfer.ID, Amount: 2_00}); err != nil {
		t.Fatal(err)
	}
	_, err = h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(900_00)})
	wantCode(t, err, ledger.InsufficientFunds)
	end := h.everythingSoFar()
	want := []string{"transfer posted", "reversal posted", "authorization pending", "authorization posted", "transfer refused"}
	for user, states := range map[ledger.UserID][]string{alice: want, bob: want[:4]} {
		events := h.past(user, from, end, 2)
		if len(events) != len(states) {
			t.Fatalf("%d events, want %d", len(events), len(states))
		}
		for i, e := range events {
			if got := string(e.Transfer.Kind) + " " + string(e.Transfer.State); got != states[i] {
				t.Errorf("event %d: %s, want %s", i, got, states[i])
			}
			if i > 0 && !e.Position.After(events[i-1].Position) {
				t.Errorf("event %d is out of order", i)
			}
			if stored, computed := h.digestOf(e), ledger.Digest(&e.Transfer); !bytes.Equal(stored, computed[:]) {
				t.Errorf("event %d has another transfer than was written: %+v", i, e.Transfer)
			}
		}
	}
}

func (h *fixture) digestOf(e *ledger.Event) (digest []byte) {
	h.t.Helper()
	err := h.pool.QueryRow(h.t.Context(), `SELECT digest FROM all_events WHERE transfer_id = $1 AND state = $2`,
		e.Transfer.ID, string(e.Transfer.State)).Scan(&digest)
	if err != nil {
		h.t.Fatal(err)
	}
	return digest
}

// TestLateCommitIsNotSkipped: a transaction takes an event id and commits after transactions with
// higher ids. Neither a listener nor a reader of the table may miss its event, or receive an event
// twice.
func TestLateCommitIsNotSkipped(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	began := h.everythingSoFar()
	x := h.listen(bob)

	late := h.beginLate(alice, bob)
	early := h.pay(alice, bob, 1) // a higher id, committed first
	h.wantIDs(late, early)
	if got := h.past(bob, began, h.horizon(), 10); len(got) != 0 {
		t.Fatalf("read %d events above the oldest running transaction", len(got))
	}
	h.morePages(2) // the first may have begun before the commit
	select {
	case e := <-x.Events:
		t.Fatalf("received %s before the late transaction has ended", e.Transfer.ID)
	default:
	}
	late.commit()
	after := h.pay(alice, bob, 2)
	want := []uuid.UUID{late.transfer, early.ID, after.ID}
	for i, id := range want {
		if e := next(t, x); e.Transfer.ID != id {
			t.Errorf("live event %d is about %s, want %s", i, e.Transfer.ID, id)
		}
	}
	got := h.past(bob, began, h.everythingSoFar(), 1)
	for i, e := range got {
		if i >= len(want) || e.Transfer.ID != want[i] {
			t.Errorf("event %d of the table is about %s", i, e.Transfer.ID)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d events in the table, want %d", len(got), len(want))
	}
}

// TestLateCommitOfOwnEventIsNotSkipped: the same for an event in the row of its transfer. The two
// transactions are on different wallets of bob, since they would wait for each other on one.
func TestLateCommitOfOwnEventIsNotSkipped(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob, carol := h.user(100_00), h.user(0), h.user(0)
	h.euros(carol, 100)
	h.euros(bob, 0)
	began := h.everythingSoFar()
	x := h.listen(bob)
	tx, err := testkit.Connect(t, h.db.AppURL).Begin(t.Context())
	testkit.Must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	var late uuid.UUID
	testkit.Must(t, tx.QueryRow(t.Context(), `INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount,
			posted_amount, currency, owner, idem_key, fingerprint, created_at, resolved_at,
			debit_seq, debit_balance, credit_seq, credit_balance, event_xid, event_id, digest)
		SELECT rpad(lpad(to_hex((m / 1000 << 16) | 28672 | m % 1000), 16, '0') || '8', 32, '0')::uuid,
			'transfer', 'posted', a.id, b.id, 1, 1, 'EUR', a.owner, 'late', sha256(''), at, at,
			a.seq + 1, a.balance - 1, b.seq + 1, b.balance + 1, event_number(pg_current_xact_id()), nextval('events_id_seq'), sha256('')
		FROM (SELECT at, (date_part('epoch', at) * 1000000)::bigint AS m FROM clock_timestamp() at) c,
			accounts a, accounts b WHERE a.owner = $1 AND b.owner = $2 AND a.currency = 'EUR' AND b.currency = 'EUR' RETURNING id`,
		carol, bob).Scan(&late))
	early := h.pay(alice, bob, 1)
	if got := h.past(bob, began, h.horizon(), 10); len(got) != 0 {
		t.Fatalf("read %d events above the oldest running transaction", len(got))
	}
	if got := h.past(bob, began, ledger.PositionOf(1<<40, 0), 10); len(got) != 0 {
		t.Fatalf("read %d events above the horizon", len(got))
	}
	h.morePages(2)
	if len(x.Events) > 0 {
		t.Fatalf("received %s before the late transaction has ended", (<-x.Events).Transfer.ID)
	}
	testkit.Must(t, tx.Commit(t.Context()))
	want := []uuid.UUID{late, early.ID, h.pay(alice, bob, 2).ID, h.authorize(alice, bob, 3).ID, h.pay(alice, bob, 4).ID}
	var live []uuid.UUID
	for range want {
		live = append(live, next(t, x).Transfer.ID)
	}
	for page := 1; page <= 6; page++ {
		if got := transfersOf(h.past(bob, began, h.everythingSoFar(), page)); !slices.Equal(got, want) || !slices.Equal(live, want) {
			t.Errorf("pages of %d: read %v, received %v, want %v", page, got, live, want)
		}
	}
}

// morePages waits until the feed has read n more pages.
func (h *fixture) morePages(n int) {
	h.t.Helper()
	began, _ := ledger.Pages(h.Ledger)
	deadline := time.Now().Add(20 * time.Second)
	for {
		if read, _ := ledger.Pages(h.Ledger); read >= began+n {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatal("the feed reads no page")
		}
		time.Sleep(time.Millisecond)
	}
}

// lateEvent is an event of a transaction that has not committed.
type lateEvent struct {
	h        *fixture
	tx       pgx.Tx
	transfer uuid.UUID
	id       int64
}

// beginLate inserts a pending transfer and its event, as a slow kizod process would, and does not
// commit.
func (h *fixture) beginLate(from, to ledger.UserID) *lateEvent {
	h.t.Helper()
	ctx := h.t.Context()
	tx, err := testkit.Connect(h.t, h.db.AppURL).Begin(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	l := &lateEvent{h: h, tx: tx, transfer: uuid.Must(uuid.NewV7())}
	_, err = tx.Exec(ctx, `INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount, currency, owner,
			idem_key, fingerprint, expires_at, created_at)
		SELECT $1, 'authorization', 'pending', a.id, b.id, 1, 'USD', $2::uuid, $4, sha256(''), now() + interval '1 day', now()
		FROM accounts a, accounts b WHERE a.owner = $2 AND b.owner = $3`, l.transfer, from, to, newKey())
	if err == nil {
		err = tx.QueryRow(ctx, `INSERT INTO events (transfer_id, state, debit_account, credit_account, at, digest)
			SELECT t.id, t.state, t.debit_account, t.credit_account, now(), sha256('') FROM transfers t WHERE t.id = $1
			RETURNING id`, l.transfer).Scan(&l.id)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return l
}

func (l *lateEvent) commit() {
	l.h.t.Helper()
	if err := l.tx.Commit(l.h.t.Context()); err != nil {
		l.h.t.Fatal(err)
	}
}

// wantIDs checks the precondition of the test: the late event has the lower id.
func (h *fixture) wantIDs(late *lateEvent, early ledger.Transfer) {
	h.t.Helper()
	var id int64
	if err := h.pool.QueryRow(h.t.Context(), `SELECT id FROM all_events WHERE transfer_id = $1`, early.ID).Scan(&id); err != nil {
		h.t.Fatal(err)
	}
	if id < late.id {
		h.t.Fatalf("the late event has id %d, the early one %d", late.id, id)
	}
}
