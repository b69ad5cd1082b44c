package ledger_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

func groupRequest(payer, payee ledger.UserID, minor int64) ledger.GroupRequest {
	return ledger.GroupRequest{TransferRequest: ledger.TransferRequest{
		Owner: payer, Key: newKey(), Payee: payee, Amount: usd(minor),
	}}
}

// codes returns the error code of each result, "" for those without an error.
func codes(results []ledger.GroupResult) []problem.Code {
	all := make([]problem.Code, len(results))
	for i, r := range results {
		all[i] = problem.CodeOf(r.Err)
	}
	return all
}

func (h *fixture) wantCodes(results []ledger.GroupResult, want ...problem.Code) {
	h.t.Helper()
	if got := codes(results); !slices.Equal(got, want) {
		h.t.Fatalf("got %q, want %q", got, want)
	}
}

func (h *fixture) wantBalances(users []ledger.UserID, want ...int64) {
	h.t.Helper()
	for i, user := range users {
		if w := h.wallet(user); w.Balance != want[i] {
			h.t.Errorf("user %d has %d, want %d", i, w.Balance, want[i])
		}
	}
}

// Each transfer of a group has the outcome that it would have alone, and its key is the same key.
func TestTransfersOfAGroupHaveOutcomesOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	good, tooMuch, self, hold := groupRequest(alice, bob, 60), groupRequest(alice, bob, 60), groupRequest(alice, alice, 1), groupRequest(alice, bob, 30)
	hold.Authorize = true
	requests := []ledger.GroupRequest{good, tooMuch, self, good, hold}
	want := []problem.Code{"", ledger.InsufficientFunds, ledger.PayeeIsSelf, "", ""}
	for attempt := range 2 {
		results := h.TransferMany(t.Context(), requests, false)
		h.wantCodes(results, want...)
		if r := results[0].Result; r.Transfer.State != ledger.Posted || r.Replayed != (attempt == 1) {
			t.Errorf("attempt %d: got %s, replayed %t", attempt, r.Transfer.State, r.Replayed)
		}
		if r := results[3].Result; r.Transfer.ID != results[0].Result.Transfer.ID || !r.Replayed {
			t.Errorf("attempt %d: the key that is in the group twice is not a replay: %+v", attempt, r)
		}
		if s := results[4].Result.Transfer.State; s != ledger.Pending {
			t.Errorf("attempt %d: the authorization is %s", attempt, s)
		}
	}
	if r, err := h.Transfer(t.Context(), good.TransferRequest); err != nil || !r.Replayed {
		t.Errorf("the key alone: replayed %t, %v", r.Replayed, err)
	}
	_, err := h.Transfer(t.Context(), tooMuch.TransferRequest)
	if r := wantCode(t, err, ledger.InsufficientFunds); !r.Replayed {
		t.Error("the refused key alone was decided again")
	}
	h.wantBalances([]ledger.UserID{alice, bob}, 40, 60)
	h.books()
}

func TestAnAtomicGroupTakesEffectOrDoesNot(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob, carol := h.user(100), h.user(0), h.user(0)
	users := []ledger.UserID{alice, bob, carol}

	paid := []ledger.GroupRequest{groupRequest(alice, bob, 50), groupRequest(alice, carol, 20), groupRequest(alice, bob, 1)}
	h.wantCodes(h.TransferMany(t.Context(), paid, true), "", "", "")
	h.wantBalances(users, 29, 51, 20)

	// The payee of the second transfer is paid before the group fails, and pays in the third.
	refused := []ledger.GroupRequest{groupRequest(alice, bob, 29), groupRequest(alice, carol, 1), groupRequest(bob, carol, 60)}
	for attempt := range 2 {
		results := h.TransferMany(t.Context(), refused, true)
		h.wantCodes(results, ledger.BatchRefused, ledger.InsufficientFunds, ledger.BatchRefused)
		if r := refusalOf(results[0].Err); r.Replayed != (attempt == 1) || r.Transfer.State != ledger.Refused {
			t.Errorf("attempt %d: %+v", attempt, r)
		}
		h.wantBalances(users, 29, 51, 20)
	}

	// An authorization holds its amount before the group fails.
	mixed := []ledger.GroupRequest{groupRequest(alice, bob, 10), groupRequest(alice, carol, 5), groupRequest(alice, bob, 15)}
	mixed[1].Authorize = true
	h.wantCodes(h.TransferMany(t.Context(), mixed, true), ledger.BatchRefused, ledger.BatchRefused, ledger.InsufficientFunds)
	h.wantBalances(users, 29, 51, 20)
	if held := h.wallet(alice).Held; held != 0 {
		t.Errorf("a refused group holds %d", held)
	}

	h.fund(alice, 1000) // a refusal is sticky
	h.wantCodes(h.TransferMany(t.Context(), refused, true), ledger.BatchRefused, ledger.InsufficientFunds, ledger.BatchRefused)

	results := h.TransferMany(t.Context(), paid, true)
	h.wantCodes(results, "", "", "")
	if !results[0].Result.Replayed || !results[2].Result.Replayed {
		t.Error("the same group is not a replay")
	}
	h.wantBalances(users, 1029, 51, 20)
	h.books()
}

// A key of an atomic group belongs to that group.
func TestKeysOfAnAtomicGroupBelongToIt(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	group := []ledger.GroupRequest{groupRequest(alice, bob, 1), groupRequest(alice, bob, 2)}
	h.wantCodes(h.TransferMany(t.Context(), group, true), "", "")

	reused, refused := ledger.KeyReused, ledger.BatchRefused
	h.wantCodes(h.TransferMany(t.Context(), group[:1], true), reused)
	h.wantCodes(h.TransferMany(t.Context(), []ledger.GroupRequest{group[1], group[0]}, true), reused, reused)
	h.wantCodes(h.TransferMany(t.Context(), []ledger.GroupRequest{groupRequest(alice, bob, 5), group[1]}, true), refused, reused)
	h.wantCodes(h.TransferMany(t.Context(), group, false), reused, reused)
	if _, err := h.Transfer(t.Context(), group[0].TransferRequest); problem.CodeOf(err) != reused {
		t.Errorf("alone: %v", err)
	}
	twice := groupRequest(alice, bob, 3)
	h.wantCodes(h.TransferMany(t.Context(), []ledger.GroupRequest{twice, twice}, true), refused, reused)

	// Nothing was stored with an error that is not a refusal: the keys can still be used.
	malformed := groupRequest(alice, alice, 4)
	free := groupRequest(alice, bob, 4)
	h.wantCodes(h.TransferMany(t.Context(), []ledger.GroupRequest{free, malformed}, true), refused, ledger.PayeeIsSelf)
	h.wantCodes(h.TransferMany(t.Context(), []ledger.GroupRequest{free, twice}, true), "", "")
	h.wantBalances([]ledger.UserID{alice, bob}, 90, 10)
	h.books()
}

// Many callers with atomic groups, from wallets that cannot pay for all of them, and single
// transfers between them: every group has one fate, and no money is made or lost.
func TestAtomicGroupsUnderConcurrency(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{Logger: h.watched()})
	const callers, rounds = 8, 10
	users := make([]ledger.UserID, 6)
	for i := range users {
		users[i] = h.user(300)
	}
	var (
		running         sync.WaitGroup
		mu              sync.Mutex
		posted, refused int
	)
	for caller := range callers {
		running.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(caller)))
			for range rounds {
				group := make([]ledger.GroupRequest, 2+random.IntN(6))
				for i := range group {
					from := random.IntN(len(users))
					to := (from + 1 + random.IntN(len(users)-1)) % len(users)
					group[i] = groupRequest(users[from], users[to], 1+random.Int64N(120))
				}
				single := groupRequest(users[caller%len(users)], users[(caller+1)%len(users)], 5)
				_, _ = h.Transfer(t.Context(), single.TransferRequest)
				results := []*ledger.Ledger{h.Ledger, l}[caller%2].TransferMany(t.Context(), group, true)
				failed := slices.ContainsFunc(results, func(r ledger.GroupResult) bool { return r.Err != nil })
				for i, r := range results {
					if failed != (r.Err != nil) {
						t.Errorf("transfer %d of a group that failed is %t: %+v %v", i, failed, r.Result.Transfer, r.Err)
					}
				}
				mu.Lock()
				if failed {
					refused++
				} else {
					posted++
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	if posted == 0 || refused == 0 {
		t.Errorf("%d groups were posted and %d refused: the test shows nothing", posted, refused)
	}
	var total int64
	for _, user := range users {
		total += h.wallet(user).Balance
	}
	if total != int64(len(users)*300) {
		t.Errorf("the wallets hold %d together, not %d", total, len(users)*300)
	}
	h.books()
}

// A large group that is not atomic is decided in parts, and its results are in order.
func TestALargeGroupKeepsItsOrder(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(ledger.MaxGroup), h.user(0)
	requests := make([]ledger.GroupRequest, ledger.MaxGroup)
	for i := range requests {
		requests[i] = groupRequest(alice, bob, 1)
	}
	for _, atomic := range []bool{false, true} {
		results := h.TransferMany(t.Context(), requests, atomic)
		for i, r := range results {
			if r.Err != nil || r.Result.Transfer.Key != requests[i].Key || r.Result.Transfer.State != ledger.Posted {
				t.Fatalf("result %d is %+v, %v", i, r.Result.Transfer, r.Err)
			}
		}
		for i := range requests { // bob sends all of it back, as one atomic group
			requests[i] = groupRequest(bob, alice, 1)
		}
	}
	h.wantBalances([]ledger.UserID{alice, bob}, ledger.MaxGroup, 0)
	h.books()
}

// A transfer that the database rejects, or whose payee is locked, delays and fails no other one.
func TestATransferOfAGroupFailsAlone(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{Committers: 1, LockTimeout: 50 * time.Millisecond})
	alice, bob, carol := h.user(100), h.user(0), h.user(0)
	h.owner(`ALTER TABLE transfers ADD CONSTRAINT planted CHECK (memo <> 'poison')`)
	poisoned := groupRequest(alice, bob, 1)
	poisoned.Memo = "poison"
	group := []ledger.GroupRequest{groupRequest(alice, bob, 1), poisoned, groupRequest(alice, bob, 1)}
	h.wantCodes(l.TransferMany(t.Context(), group, false), "", ledger.Internal, "")
	poisoned.Key = newKey()
	h.wantCodes(l.TransferMany(t.Context(), []ledger.GroupRequest{poisoned, groupRequest(alice, bob, 1)}, true), ledger.Internal, ledger.Internal)

	_, release := h.lockRows(`SELECT FROM accounts WHERE owner = $1 FOR UPDATE`, carol)
	defer release()
	locked := []ledger.GroupRequest{groupRequest(alice, bob, 1), groupRequest(alice, carol, 1), groupRequest(alice, bob, 1)}
	h.wantCodes(l.TransferMany(t.Context(), locked, false), "", ledger.Unavailable, "")
	release()
	h.wantCodes(l.TransferMany(t.Context(), locked, false), "", "", "")
	h.wantBalances([]ledger.UserID{alice, bob, carol}, 95, 4, 1)
	h.books()
}

// Replay finds what was done under a key without the payee.
func TestReplayFindsResultsByKey(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	posted, refused, hold := groupRequest(alice, bob, 10), groupRequest(alice, bob, 500), groupRequest(alice, bob, 20)
	hold.Authorize = true
	h.wantCodes(h.TransferMany(t.Context(), []ledger.GroupRequest{posted, refused, hold}, false), "", ledger.InsufficientFunds, "")
	other, fresh := posted, groupRequest(alice, bob, 1)
	other.Amount.Minor++
	requests := []ledger.GroupRequest{posted, refused, hold, other, fresh}
	for i := range requests {
		requests[i].Payee = ledger.UserID{}
	}
	found, err := h.Replay(t.Context(), requests)
	if err != nil || found[4] != nil {
		t.Fatalf("the unused key has %v, %v", found[4], err)
	}
	h.wantCodes([]ledger.GroupResult{*found[0], *found[1], *found[2], *found[3]}, "", ledger.InsufficientFunds, "", ledger.KeyReused)
	if r := found[0].Result; !r.Replayed || r.Transfer.PostedAmount != 10 {
		t.Errorf("the posted transfer is %+v", r)
	}
}

// A refused authorization of an atomic group expires when it would have alone.
func TestRefusedAuthorizationOfAGroupKeepsItsExpiry(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	hold := groupRequest(alice, bob, 10)
	hold.Authorize = true
	results := h.TransferMany(t.Context(), []ledger.GroupRequest{hold, groupRequest(alice, bob, 500)}, true)
	h.wantCodes(results, ledger.BatchRefused, ledger.InsufficientFunds)
	if refusalOf(results[0].Err).Transfer.ExpiresAt.IsZero() {
		t.Error("the refused authorization has no expiry")
	}
	h.books()
}
