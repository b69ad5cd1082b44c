package ledger_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// commandCase is one command that is about to be done: ask may be called again, with the
// same key.
type commandCase struct {
	name  string
	state ledger.State // it ends in
	keyed bool
	// make prepares the books, on a sound connection, and gives the command.
	make func(h *fixture, alice, bob uuid.UUID) func(*ledger.Ledger) (ledger.Result, error)
}

func order(do func(*ledger.Ledger, context.Context, ledger.TransferRequest) (ledger.Result, error), minor int64) func(*fixture, uuid.UUID, uuid.UUID) func(*ledger.Ledger) (ledger.Result, error) {
	return func(h *fixture, alice, bob uuid.UUID) func(*ledger.Ledger) (ledger.Result, error) {
		o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(minor)}
		return func(l *ledger.Ledger) (ledger.Result, error) { return do(l, h.t.Context(), o) }
	}
}

func follow(do func(*ledger.Ledger, context.Context, ledger.FollowUp) (ledger.Result, error), amount int64, about func(*fixture, uuid.UUID, uuid.UUID, int64) ledger.Transfer) func(*fixture, uuid.UUID, uuid.UUID) func(*ledger.Ledger) (ledger.Result, error) {
	return func(h *fixture, alice, bob uuid.UUID) func(*ledger.Ledger) (ledger.Result, error) {
		f := ledger.FollowUp{Owner: bob, Key: newKey(), Target: about(h, alice, bob, 10).ID, Amount: amount}
		return func(l *ledger.Ledger) (ledger.Result, error) { return do(l, h.t.Context(), f) }
	}
}

func settled(executed bool) func(*fixture, uuid.UUID, uuid.UUID) func(*ledger.Ledger) (ledger.Result, error) {
	return func(h *fixture, alice, _ uuid.UUID) func(*ledger.Ledger) (ledger.Result, error) {
		s := ledger.Settlement{Transfer: h.withdraw(alice, 10).ID, Executed: executed, BankRef: "ref"}
		return func(l *ledger.Ledger) (ledger.Result, error) { return l.Settle(h.t.Context(), s) }
	}
}

var commandCases = []commandCase{
	{"transfer", ledger.Posted, true, order((*ledger.Ledger).Transfer, 10)},
	{"refused transfer", ledger.Refused, true, order((*ledger.Ledger).Transfer, 5_000)},
	{"authorize", ledger.Pending, true, order((*ledger.Ledger).Authorize, 10)},
	{"deposit", ledger.Pending, true, order((*ledger.Ledger).OpenDeposit, 10)},
	{"withdrawal", ledger.Pending, true, order((*ledger.Ledger).OpenWithdrawal, 10)},
	{"post", ledger.Posted, true, follow((*ledger.Ledger).Capture, 0, (*fixture).authorize)},
	{"post a part", ledger.Posted, true, follow((*ledger.Ledger).Capture, 4, (*fixture).authorize)},
	{"refused post", ledger.Refused, true, follow((*ledger.Ledger).Capture, 11, (*fixture).authorize)},
	{"void", ledger.Voided, true, follow((*ledger.Ledger).Void, 0, (*fixture).authorize)},
	{"reverse", ledger.Posted, true, follow((*ledger.Ledger).Reverse, 0, (*fixture).transfer)},
	{"reverse a part", ledger.Posted, true, follow((*ledger.Ledger).Reverse, 4, (*fixture).transfer)},
	{"settle executed", ledger.Posted, false, settled(true)},
	{"settle rejected", ledger.Voided, false, settled(false)},
}

// told is what a caller was told, refused or not.
func told(t *testing.T, r ledger.Result, err error) (ledger.Transfer, bool) {
	t.Helper()
	if err == nil {
		return r.Transfer, r.Replayed
	}
	refusal, ok := err.(*ledger.Refusal) //nolint:errorlint // the ledger returns it bare
	if !ok {
		t.Fatal(err)
	}
	return refusal.Transfer, refusal.Replayed
}

// TestLostCommit: the answer to a COMMIT never arrives. Whether or not the COMMIT
// did, the caller is told the truth, as if nothing had been, and it is done once.
func TestLostCommit(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"before": cutBefore, "after": cutAfter, "late": cutLate} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			l, w := h.through(ledger.Config{Logger: h.watched()})
			super := testkit.Connect(t, h.db.SuperuserURL)
			alice, bob := h.user(1000), h.user(0)
			for _, d := range commandCases {
				ask := d.make(h, alice, bob)
				w.arm(f)
				if f == cutLate {
					go func() { // the retry waits for the locks of the first try, and only then that goes on
						h.untilWaiting(super, 1)
						w.letGo()
					}()
				}
				r, err := ask(l)
				first, replayed := told(t, r, err)
				if first.State != d.state || replayed {
					t.Errorf("%s: got %s, replayed %t", d.name, first.State, replayed)
				}
				if w.cut() != 1 {
					t.Fatalf("%s: the wire met %d COMMITs", d.name, w.cut())
				}
				r, err = ask(h.Ledger)
				if again, replayed := told(t, r, err); again.ID != first.ID || again.State != first.State || !replayed {
					t.Errorf("%s: asked again, got %+v, replayed %t", d.name, again, replayed)
				}
			}
			h.books()
		})
	}
}

func TestLostCommitOfExpiry(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l, w := h.through(ledger.Config{})
	alice, bob := h.user(1000), h.user(0)
	for _, f := range []fault{cutBefore, cutAfter} {
		h.lapse(h.authorize(alice, bob, 10).ID)
		w.arm(f)
		if n, err := l.ExpireDue(t.Context(), 10); n != 1 || err != nil || w.cut() != 1 {
			t.Errorf("fault %d: %d expired, %v", f, n, err)
		}
	}
	if got := h.wallet(alice); got.Held != 0 {
		t.Errorf("alice has %+v", got)
	}
	h.books()
}

// TestDatabaseStaysAway: the caller is told "unknown" only where it may have
// happened, "unavailable" only where it has not; and the same key gives the truth
// later.
func TestDatabaseStaysAway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		fault    fault
		code     problem.Code
		happened bool
	}{
		{"before the COMMIT", awayBefore, ledger.OutcomeUnknown, false},
		{"after the COMMIT", awayAfter, ledger.OutcomeUnknown, true},
		{"while reading", awayAtReading, ledger.Unavailable, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			alice, bob := h.user(1000), h.user(0)
			var running sync.WaitGroup // each waits for its patience to end; they may do so together
			for _, d := range commandCases {
				ask := d.make(h, alice, bob)
				l, w := h.through(ledger.Config{BatchTimeout: 1500 * time.Millisecond})
				if _, err := l.Preview(t.Context(), ledger.TransferRequest{Owner: alice, Key: "k", Payee: bob, Amount: usd(1)}, false); err != nil {
					t.Fatal(err) // it knows the wallets now, and is connected
				}
				running.Go(func() {
					w.arm(tt.fault)
					_, err := ask(l)
					wantCode(t, err, tt.code)
					w.back()
					r, err := ask(h.Ledger)
					if got, replayed := told(t, r, err); got.State != d.state || replayed != tt.happened {
						t.Errorf("%s: asked again, got %s, replayed %t", d.name, got.State, replayed)
					}
				})
			}
			running.Wait()
			h.books()
		})
	}
}

// TestNoNewConnection: the database is away before anything was sent.
func TestNoNewConnection(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l, w := h.through(ledger.Config{BatchTimeout: 500 * time.Millisecond})
	alice, bob := h.user(100), h.user(0)
	o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(10)}
	w.arm(awayAtReading)
	_, err := l.Transfer(t.Context(), o)
	wantCode(t, err, ledger.Unavailable)
	_, err = l.Transfer(t.Context(), o) // not even a connection this time
	wantCode(t, err, ledger.Unavailable)
	w.back()
	if r, err := h.Ledger.Transfer(t.Context(), o); err != nil || r.Replayed {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestLongAbsence: the pauses between tries must not outgrow their type.
func TestLongAbsence(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for try := range 200 {
		ledger.Pause(ctx, try)
	}
}

// TestCallerHangsUp: the command is carried out all the same, and its key says so.
func TestCallerHangsUp(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{Committers: 1})
	alice, bob := h.user(100), h.user(0)
	o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(10)}
	super := testkit.Connect(t, h.db.SuperuserURL)
	lift := h.barrier()
	ctx, hangUp := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		_, err := l.Transfer(ctx, o)
		answer <- err
	}()
	h.untilWaiting(super, 1)
	hangUp()
	wantCode(t, <-answer, ledger.OutcomeUnknown)
	lift()
	if r, err := l.Transfer(t.Context(), o); err != nil || !r.Replayed {
		t.Errorf("got %+v, %v", r, err)
	}
	h.books()
}
