package ledger_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

func (h *fixture) repair(restored bool) ledger.Repaired {
	h.t.Helper()
	r, err := ledger.Repair(h.t.Context(), testkit.Connect(h.t, h.db.AdminURL), restored)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// superuser runs SQL without triggers.
func (h *fixture) superuser(sql string) {
	h.t.Helper()
	if _, err := testkit.Connect(h.t, h.db.SuperuserURL).Exec(h.t.Context(), "SET session_replication_role = replica; "+sql); err != nil {
		h.t.Fatal(err)
	}
}

func transfersOf(events []*ledger.Event) (ids []uuid.UUID) {
	for _, e := range events {
		ids = append(ids, e.Transfer.ID)
	}
	return ids
}

// TestRepairDeliversEventsOfRestoredDump: the rows are those of a database that was restored into a
// cluster whose transaction ids are lower by 10^9, and in which transfers were made before the
// repair.
func TestRepairDeliversEventsOfRestoredDump(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	var want []uuid.UUID
	for range 3 {
		want = append(want, h.pay(alice, bob, 1).ID)
	}
	h.everythingSoFar()
	h.superuser(`UPDATE events SET xid = (xid::text::bigint + 1000000000)::text::xid8;
		UPDATE transfers SET event_xid = (event_xid::text::bigint + 1000000000)::text::xid8 WHERE event_xid IS NOT NULL`)

	if err := ledger.CheckRestored(t.Context(), h.pool); !errors.Is(err, ledger.ErrRestored) || !strings.Contains(err.Error(), "kizod repair") {
		t.Errorf("the restored database is not refused: %v", err)
	}
	b := &busyFixture{fixture: h}
	if got := broken(b.audit()); !slices.Equal(got, []string{"event_order"}) {
		t.Errorf("the audit reports %v", got)
	}
	for range 2 {
		want = append(want, h.pay(alice, bob, 1).ID)
	}
	if got := h.past(bob, ledger.Position{}, h.everythingSoFar(), 2); len(got) != 2 {
		t.Fatalf("%d events are delivered without a repair; this test is about 2", len(got))
	}

	r := h.repair(false)
	if !r.NewEpoch || r.Renumbered != 2 || r.Reachable < 3 {
		t.Errorf("the repair did %+v", r)
	}
	events := h.past(bob, ledger.Position{}, h.everythingSoFar(), 2)
	if got := transfersOf(events); !slices.Equal(got, want) {
		t.Fatalf("delivered %v, want %v", got, want)
	}
	// A reader that had read the third event before the restore continues after it.
	held := events[2].Position
	if got := transfersOf(h.past(bob, held, h.everythingSoFar(), 2)); !slices.Equal(got, want[3:]) {
		t.Errorf("after the third event: %v, want %v", got, want[3:])
	}
	if err := ledger.CheckRestored(t.Context(), h.pool); err != nil {
		t.Error(err)
	}
	if report := b.audit(); !report.OK() {
		t.Error(table(report))
	}
	if r := h.repair(false); r.NewEpoch || r.String() != "nothing to repair\n" {
		t.Errorf("a second repair did %+v", r)
	}
	for _, change := range []string{`DELETE FROM events`, `UPDATE transfers SET event_xid = '1' WHERE event_xid IS NOT NULL`} {
		if _, err := testkit.Connect(t, h.db.AdminURL).Exec(t.Context(), change); err == nil {
			t.Errorf("after the repair, this is allowed: %s", change)
		}
	}
}

// TestRepairKeepsReversedEvents: this cluster could have given the number of a restored event, and
// its transfer was reversed after the restore. The event stays before the later restored ones; the
// reversal comes after them, also if its id is lower since the sequence was not restored.
func TestRepairKeepsReversedEvents(t *testing.T) {
	t.Parallel()
	for name, sequence := range map[string]string{"a dump": ``, "logical replication": `SELECT setval('events_id_seq', 2)`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			alice, bob := h.user(100_00), h.user(0)
			began := h.everythingSoFar()
			want := []uuid.UUID{h.pay(alice, bob, 5).ID, h.pay(alice, bob, 6).ID}
			h.superuser(`UPDATE transfers SET event_xid = (event_xid::text::bigint + 1000000000)::text::xid8 WHERE id = '` + want[1].String() + `'; ` + sequence)
			r, err := h.Reverse(t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: want[0], Amount: 1})
			if err != nil {
				t.Fatal(err)
			}
			if did := h.repair(false); did.Reachable != 1 || did.Renumbered != 1 || (len(did.Sequences) > 0) != (sequence != "") {
				t.Errorf("the repair did %+v", did)
			}
			if got := transfersOf(h.past(bob, began, h.everythingSoFar(), 10)); !slices.Equal(got, append(want, r.Transfer.ID)) {
				t.Errorf("delivered %v, want %v, %s", got, want, r.Transfer.ID)
			}
			if err := ledger.CheckRestored(t.Context(), h.pool); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRepairPassesPositionsOfLostEvents: a reader has the position of an event that the database
// has lost, since it was restored to an earlier time. Later events come after that position.
func TestRepairPassesPositionsOfLostEvents(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	h.pay(alice, bob, 1)
	var future uint64
	if err := h.pool.QueryRow(t.Context(), `SELECT (pg_current_xact_id()::text::bigint + 1000000)::text::xid8`).Scan(&future); err != nil {
		t.Fatal(err)
	}
	lost := ledger.PositionOf(future, 0)
	first := h.pay(alice, bob, 2)
	if got := h.past(bob, lost, h.everythingSoFar(), 10); len(got) != 0 {
		t.Fatal("the position is not after the current events: the test has no precondition")
	}
	h.repair(true)
	second := h.pay(alice, bob, 3)
	if got := transfersOf(h.past(bob, lost, h.everythingSoFar(), 10)); !slices.Equal(got, []uuid.UUID{second.ID}) {
		t.Errorf("after a position of a lost event: %v, want %v alone (%v was before the repair)", got, second.ID, first.ID)
	}
}

// TestRepairWhileLedgerIsRunning: new epochs of event numbers begin while writers and a listener
// are running. Each event is delivered once, and positions only increase.
func TestRepairWhileLedgerIsRunning(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(1_000_000), h.user(1_000_000)
	began := h.everythingSoFar()
	x := h.listen(bob)
	var (
		mu      sync.Mutex
		sent    = map[uuid.UUID]int{}
		stopped = make(chan struct{})
		writing sync.WaitGroup
		// The writers are at most this many events ahead of the reader: a listener with more than
		// 512 that wait is disconnected, and a repair holds events back for as long as it takes.
		ahead = make(chan struct{}, 256)
	)
	for range 4 {
		l := h.another(ledger.Config{})
		writing.Go(func() {
			for {
				select {
				case <-stopped:
					return
				case ahead <- struct{}{}:
				}
				r, err := l.Transfer(context.Background(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				sent[r.Transfer.ID] = 0
				mu.Unlock()
			}
		})
	}
	var last ledger.Position
	received := map[uuid.UUID]int{}
	take := func() {
		e := next(t, x)
		<-ahead
		if !e.Position.After(last) {
			t.Errorf("%s comes at %s, after %s", e.Transfer.ID, e.Position, last)
		}
		last = e.Position
		received[e.Transfer.ID]++
	}
	for range 5 {
		repaired := make(chan struct{})
		go func() {
			defer close(repaired)
			h.repair(true)
		}()
		for repairing := true; repairing; { // a listener that is not read from is disconnected
			take()
			select {
			case <-repaired:
				repairing = false
			default:
			}
		}
		for range 20 {
			take()
		}
	}
	close(stopped)
	writing.Wait()
	for deadline := time.Now().Add(time.Minute); len(received) < len(sent) && time.Now().Before(deadline); {
		take()
	}
	inTable := map[uuid.UUID]int{}
	for _, id := range transfersOf(h.past(bob, began, h.everythingSoFar(), 100)) {
		inTable[id]++
	}
	for id := range sent {
		if received[id] != 1 || inTable[id] != 1 {
			t.Errorf("%s was delivered %d times, read from the table %d times", id, received[id], inTable[id])
		}
	}
	if report := (&busyFixture{fixture: h}).audit(); !report.OK() {
		t.Error(table(report))
	}
}

func TestRepairSetsSequences(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	const behind = `SELECT setval('events_id_seq', 1); SELECT setval('accounts_id_seq', 1, false)`
	h.superuser(behind)
	if err := ledger.CheckRestored(t.Context(), h.pool); !errors.Is(err, ledger.ErrRestored) {
		t.Errorf("not refused: %v", err)
	}
	var columns int64
	const count = `SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attidentity <> '' AND c.relkind = 'r'`
	if err := testkit.Connect(t, h.db.SuperuserURL).QueryRow(t.Context(), count).Scan(&columns); err != nil {
		t.Fatal(err)
	}
	for _, c := range (&busyFixture{fixture: h}).audit().Checks {
		if c.Name == "sequences" && (c.Rows != columns || c.BrokenRows != 2) {
			t.Errorf("the audit looked at %d of %d identity columns and found %d behind", c.Rows, columns, c.BrokenRows)
		}
	}
	pending := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1), ExpiresAt: time.Now().Add(time.Hour)}
	if _, err := h.Authorize(t.Context(), pending); err == nil {
		t.Error("an id was used twice")
	}
	h.superuser(behind) // the failed inserts have advanced the sequences
	if r := h.repair(false); r.NewEpoch || len(r.Sequences) != 2 {
		t.Errorf("the repair did %+v", r)
	}
	h.pay(alice, bob, 1)
	h.user(0)
	if err := ledger.CheckRestored(t.Context(), h.pool); err != nil {
		t.Error(err)
	}
}

// TestRepairWaitsForUncommittedEvents: an uncommitted event has a number of the old epoch. The
// repair waits for its commit: otherwise readers could have passed its number before.
func TestRepairWaitsForUncommittedEvents(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	began := h.everythingSoFar()
	late := h.beginLate(alice, bob)
	repaired := make(chan struct{})
	go func() {
		defer close(repaired)
		h.repair(true)
	}()
	watch := testkit.Connect(t, h.db.SuperuserURL)
	for waiting := 0; waiting == 0; time.Sleep(5 * time.Millisecond) {
		select {
		case <-repaired:
			t.Fatal("the repair did not wait")
		default:
		}
		const waits = `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation IN ('transfers'::regclass, 'events'::regclass)`
		if err := watch.QueryRow(t.Context(), waits).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	late.commit()
	<-repaired
	if got := transfersOf(h.past(bob, began, h.everythingSoFar(), 10)); !slices.Equal(got, []uuid.UUID{late.transfer}) {
		t.Errorf("delivered %v", got)
	}
}
