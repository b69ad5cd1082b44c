package ledger_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// commandCase is a command for the tests of lost commits.
type commandCase struct {
	name  string
	state ledger.State // the state of the transfer after the command
	// make prepares the tables, on a direct connection, and returns the command. The command may be
	// executed again, with the same key.
	make func(h *fixture, alice, bob ledger.UserID) func(*ledger.Ledger) (ledger.Result, error)
}

func newTransferCase(do func(*ledger.Ledger, context.Context, ledger.TransferRequest) (ledger.Result, error), minor int64) func(*fixture, ledger.UserID, ledger.UserID) func(*ledger.Ledger) (ledger.Result, error) {
	return func(h *fixture, alice, bob ledger.UserID) func(*ledger.Ledger) (ledger.Result, error) {
		o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(minor)}
		return func(l *ledger.Ledger) (ledger.Result, error) { return do(l, h.t.Context(), o) }
	}
}

func followUp(do func(*ledger.Ledger, context.Context, ledger.FollowUp) (ledger.Result, error), amount int64, about func(*fixture, ledger.UserID, ledger.UserID, int64) ledger.Transfer) func(*fixture, ledger.UserID, ledger.UserID) func(*ledger.Ledger) (ledger.Result, error) {
	return func(h *fixture, alice, bob ledger.UserID) func(*ledger.Ledger) (ledger.Result, error) {
		f := ledger.FollowUp{Owner: bob, Key: newKey(), Target: about(h, alice, bob, 10).ID, Amount: amount}
		return func(l *ledger.Ledger) (ledger.Result, error) { return do(l, h.t.Context(), f) }
	}
}

func settlement(executed bool) func(*fixture, ledger.UserID, ledger.UserID) func(*ledger.Ledger) (ledger.Result, error) {
	return func(h *fixture, alice, _ ledger.UserID) func(*ledger.Ledger) (ledger.Result, error) {
		s := ledger.Settlement{Transfer: h.withdraw(alice, 10).ID, Executed: executed, BankRef: "ref"}
		return func(l *ledger.Ledger) (ledger.Result, error) { return l.Settle(h.t.Context(), s) }
	}
}

// many sends transfers of these amounts with TransferMany, and returns the first result.
func many(atomic bool, amounts ...int64) func(*fixture, ledger.UserID, ledger.UserID) func(*ledger.Ledger) (ledger.Result, error) {
	return func(h *fixture, alice, bob ledger.UserID) func(*ledger.Ledger) (ledger.Result, error) {
		var requests []ledger.GroupRequest
		for _, amount := range amounts {
			requests = append(requests, groupRequest(alice, bob, amount))
		}
		return func(l *ledger.Ledger) (ledger.Result, error) {
			first := l.TransferMany(h.t.Context(), requests, atomic)[0]
			return first.Result, first.Err
		}
	}
}

var commandCases = []commandCase{
	{"transfer", ledger.Posted, newTransferCase((*ledger.Ledger).Transfer, 10)},
	{"refused transfer", ledger.Refused, newTransferCase((*ledger.Ledger).Transfer, 5_000)},
	{"authorize", ledger.Pending, newTransferCase((*ledger.Ledger).Authorize, 10)},
	{"deposit", ledger.Pending, newTransferCase((*ledger.Ledger).OpenDeposit, 10)},
	{"withdrawal", ledger.Pending, newTransferCase((*ledger.Ledger).OpenWithdrawal, 10)},
	{"capture", ledger.Posted, followUp((*ledger.Ledger).Capture, 0, (*fixture).authorize)},
	{"capture a part", ledger.Posted, followUp((*ledger.Ledger).Capture, 4, (*fixture).authorize)},
	{"refused capture", ledger.Refused, followUp((*ledger.Ledger).Capture, 11, (*fixture).authorize)},
	{"void", ledger.Voided, followUp((*ledger.Ledger).Void, 0, (*fixture).authorize)},
	{"reverse", ledger.Posted, followUp((*ledger.Ledger).Reverse, 0, (*fixture).transfer)},
	{"reverse a part", ledger.Posted, followUp((*ledger.Ledger).Reverse, 4, (*fixture).transfer)},
	{"batch", ledger.Posted, many(false, 10, 20)},
	{"atomic group", ledger.Posted, many(true, 10, 20)},
	{"refused atomic group", ledger.Refused, many(true, 10, 5_000)},
	{"settle executed", ledger.Posted, settlement(true)},
	{"settle rejected", ledger.Voided, settlement(false)},
}

// outcomeOf returns the transfer that the caller received, refused or not, and whether it was
// replayed.
func outcomeOf(t *testing.T, r ledger.Result, err error) (ledger.Transfer, bool) {
	t.Helper()
	if err == nil {
		return r.Transfer, r.Replayed
	}
	refusal, ok := err.(*ledger.Refusal) //nolint:errorlint // the ledger returns it unwrapped
	if !ok {
		t.Fatal(err)
	}
	return refusal.Transfer, refusal.Replayed
}

// TestLostCommit: the answer to a COMMIT is lost. Whether or not the server has executed it, the
// command has exactly one effect, and the caller gets its outcome as if the connection had not
// failed.
func TestLostCommit(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"before": cutBefore, "after": cutAfter, "late": cutLate} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			l, proxy := h.throughProxy(ledger.Config{Logger: h.watched()})
			ledger.LockFirst(l)
			super := testkit.Connect(t, h.db.SuperuserURL)
			alice, bob := h.user(1000), h.user(0)
			for _, d := range commandCases {
				ask := d.make(h, alice, bob)
				proxy.arm(f)
				if f == cutLate {
					go func() { // the COMMIT is sent after the retry waits for the locks of the first attempt
						h.untilWaiting(super, 1)
						proxy.sendDelayed()
					}()
				}
				r, err := ask(l)
				first, replayed := outcomeOf(t, r, err)
				if first.State != d.state || replayed {
					t.Errorf("%s: got %s, replayed %t", d.name, first.State, replayed)
				}
				if n := proxy.faultCount(); n != 1 {
					t.Fatalf("%s: %d COMMITs were lost", d.name, n)
				}
				r, err = ask(h.Ledger)
				if again, replayed := outcomeOf(t, r, err); again.ID != first.ID || again.State != first.State || !replayed {
					t.Errorf("%s: asked again, got %+v, replayed %t", d.name, again, replayed)
				}
			}
			h.books()
		})
	}
}

// TestLostCommitWithoutLocks: the same for a transfer that is decided on remembered accounts, also
// if the server begins the first attempt after the second one has been committed.
func TestLostCommitWithoutLocks(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"before": cutBefore, "after": cutAfter, "late": cutLate, "late at BEGIN": cutLateAtBegin} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			h.t = t
			alice, bob := h.user(1000), h.user(1000)
			direct := h.Ledger
			l, proxy := h.throughProxy(ledger.Config{Logger: h.watched()})
			ledger.TrustClock(l)
			h.Ledger = l
			h.remember(alice, bob)
			proxy.arm(f)
			if f == cutLate {
				super := testkit.Connect(t, h.db.SuperuserURL)
				go func() { // the COMMIT is sent after the retry waits for the locks of the first attempt
					h.untilWaiting(super, 1)
					proxy.sendDelayed()
				}()
			}
			order := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(10)}
			first, err := l.Transfer(t.Context(), order)
			if err != nil || first.Replayed || first.Transfer.State != ledger.Posted || proxy.faultCount() != 1 {
				t.Errorf("%+v, %v after %d faults", first, err, proxy.faultCount())
			}
			if f == cutLateAtBegin {
				proxy.sendDelayed()
				proxy.untilEnded()
			}
			again, err := direct.Transfer(t.Context(), order)
			if err != nil || !again.Replayed || again.Transfer.ID != first.Transfer.ID {
				t.Errorf("asked again, got %+v, %v", again, err)
			}
			if got := h.wallet(alice).Balance; got != 990 {
				t.Errorf("alice has %d, want 990", got)
			}
			h.books()
		})
	}
}

func TestLostCommitOfExpiry(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l, proxy := h.throughProxy(ledger.Config{})
	alice, bob := h.user(1000), h.user(0)
	for _, f := range []fault{cutBefore, cutAfter} {
		h.lapse(h.authorize(alice, bob, 10).ID)
		proxy.arm(f)
		if n, err := l.ExpireDue(t.Context(), 10); n != 1 || err != nil || proxy.faultCount() != 1 {
			t.Errorf("fault %d: %d expired, %v", f, n, err)
		}
	}
	if got := h.wallet(alice); got.Held != 0 {
		t.Errorf("alice has %+v", got)
	}
	h.books()
}

// TestDatabaseStaysUnavailable: the caller gets OutcomeUnknown only if the command may have been
// committed, and Unavailable only if it was not. The same key gets the outcome later.
func TestDatabaseStaysUnavailable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		fault     fault
		code      problem.Code
		committed bool
	}{
		{"before the COMMIT", downBefore, ledger.OutcomeUnknown, false},
		{"after the COMMIT", downAfter, ledger.OutcomeUnknown, true},
		{"while reading", downAtBegin, ledger.Unavailable, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			alice, bob := h.user(1000), h.user(0)
			var running sync.WaitGroup // each command waits for BatchTimeout; they do so concurrently
			for _, d := range commandCases {
				ask := d.make(h, alice, bob)
				l, proxy := h.throughProxy(ledger.Config{BatchTimeout: 1500 * time.Millisecond})
				if _, err := l.Preview(t.Context(), ledger.TransferRequest{Owner: alice, Key: "k", Payee: bob, Amount: usd(1)}, false); err != nil {
					t.Fatal(err) // connects, and loads the wallets into the cache
				}
				running.Go(func() {
					proxy.arm(tt.fault)
					_, err := ask(l)
					wantCode(t, err, tt.code)
					proxy.restore()
					r, err := ask(h.Ledger)
					if got, replayed := outcomeOf(t, r, err); got.State != d.state || replayed != tt.committed {
						t.Errorf("%s: asked again, got %s, replayed %t", d.name, got.State, replayed)
					}
				})
			}
			running.Wait()
			h.books()
		})
	}
}

// TestNoNewConnection: the database is unavailable before anything was sent.
func TestNoNewConnection(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l, proxy := h.throughProxy(ledger.Config{BatchTimeout: 500 * time.Millisecond})
	alice, bob := h.user(100), h.user(0)
	o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(10)}
	proxy.arm(downAtBegin)
	_, err := l.Transfer(t.Context(), o)
	wantCode(t, err, ledger.Unavailable)
	_, err = l.Transfer(t.Context(), o) // cannot even connect
	wantCode(t, err, ledger.Unavailable)
	proxy.restore()
	if r, err := h.Ledger.Transfer(t.Context(), o); err != nil || r.Replayed {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestPauseDoesNotOverflow: the computation of the pause must not overflow after many attempts.
func TestPauseDoesNotOverflow(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for attempt := range 200 {
		ledger.Pause(ctx, attempt)
	}
}

// TestCanceledCommandIsExecuted: the context of the caller ends while its command is being
// committed. The command is executed all the same, and its key replays the outcome.
func TestCanceledCommandIsExecuted(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{Committers: 1})
	alice, bob := h.user(100), h.user(0)
	o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(10)}
	super := testkit.Connect(t, h.db.SuperuserURL)
	unblock := h.blockWrites()
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		_, err := l.Transfer(ctx, o)
		answer <- err
	}()
	h.untilWaiting(super, 1)
	cancel()
	wantCode(t, <-answer, ledger.OutcomeUnknown)
	unblock()
	if r, err := l.Transfer(t.Context(), o); err != nil || !r.Replayed {
		t.Errorf("got %+v, %v", r, err)
	}
	h.books()
}
