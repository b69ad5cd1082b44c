package auth

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

const wrongPassword = "wrong password"

// try gives the code, and when to come back.
func (h *harness) try(s *Service, who, password, address string) (problem.Code, time.Duration) {
	h.t.Helper()
	_, _, err := s.LogIn(h.t.Context(), who, password, Client{Address: address})
	var refusal *problem.Error
	errors.As(err, &refusal)
	if err == nil {
		return "", 0
	}
	return code(h.t, err), refusal.RetryAfter
}

func (h *harness) wantTry(who, password, address string, want problem.Code) time.Duration {
	h.t.Helper()
	got, after := h.try(h.Service, who, password, address)
	if got != want {
		h.t.Fatalf("%s from %q: %q, want %q", who, address, got, want)
	}
	return after
}

// The sixth guess waits a second, each later one twice as long, a quarter of an
// hour at most; and whether the account exists makes no difference.
func TestGuessesOnAnAccountAreSlowedDown(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	var waits [2][]time.Duration
	for i, who := range []string{"alice", "nobody"} {
		for range accountRule.free {
			h.wantTry(who, wrongPassword, "", CodeInvalidCredentials)
		}
		for range 12 {
			wait := h.wantTry(who, wrongPassword, "", CodeTooManyAttempts)
			waits[i] = append(waits[i], wait)
			h.wantTry(who, goodPassword, "", CodeTooManyAttempts) // not even the right one
			h.clock.Advance(wait)
			h.wantTry(who, wrongPassword, "", CodeInvalidCredentials)
		}
	}
	wantEqual(t, "waits", fmt.Sprint(waits[0]), fmt.Sprint(waits[1]))
	t.Logf("%v", waits[0])
	for i := range 9 {
		if want := time.Second << i; waits[0][i] < want || waits[0][i] > want+time.Second {
			t.Errorf("block %d: %v, want %v", i+1, waits[0][i], want)
		}
	}
	if last := waits[0][11]; last < maxBlock || last > maxBlock+time.Second {
		t.Errorf("the last block: %v", last)
	}
	wantEqual(t, "throttled", counter(t, h.config.Metrics.throttled.WithLabelValues(scopeAccount)), 48)
}

// However long somebody has guessed, the owner gets in after the longest block: what
// is refused is not counted. After that nothing is held against them.
func TestNoBlockLasts(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	for range 300 { // an attacker who never gives up
		if c, wait := h.try(h.Service, "alice", wrongPassword, ""); c == CodeTooManyAttempts {
			h.clock.Advance(wait)
		}
	}
	for c := problem.Code(""); c != CodeTooManyAttempts; {
		c, _ = h.try(h.Service, "alice", wrongPassword, "")
	}
	h.clock.Advance(maxBlock)
	h.wantTry("alice", goodPassword, "", "")
	for range accountRule.free {
		h.wantTry("alice", wrongPassword, "", CodeInvalidCredentials)
	}
	h.wantTry("alice", wrongPassword, "", CodeTooManyAttempts)
}

// Failures are forgotten with time, one after the other, without a success.
func TestFailuresAreForgotten(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for range accountRule.free {
		h.wantTry("nobody", wrongPassword, "", CodeInvalidCredentials)
	}
	h.clock.Advance(2 * accountRule.period) // and with it two of the five
	h.wantTry("nobody", wrongPassword, "", CodeInvalidCredentials)
	h.wantTry("nobody", wrongPassword, "", CodeInvalidCredentials)
	h.wantTry("nobody", wrongPassword, "", CodeTooManyAttempts)
	h.clock.Advance(24 * time.Hour)
	for range accountRule.free {
		h.wantTry("nobody", wrongPassword, "", CodeInvalidCredentials)
	}
}

// Of a hundred guesses at once, by two processes, no more are judged than are free.
func TestParallelGuesses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	const guesses = 100
	processes := []*Service{h.Service, h.another()}
	codes, start, done := make(chan problem.Code, guesses), make(chan struct{}), sync.WaitGroup{}
	for i := range guesses {
		done.Go(func() {
			<-start
			_, _, err := processes[i%2].LogIn(t.Context(), "alice", wrongPassword, Client{})
			codes <- problem.CodeOf(err)
		})
	}
	close(start)
	done.Wait()
	close(codes)
	count := map[problem.Code]int{}
	for c := range codes {
		count[c]++
	}
	wantEqual(t, "judged", count[CodeInvalidCredentials], accountRule.free)
	wantEqual(t, "refused", count[CodeTooManyAttempts], guesses-accountRule.free)
}

// One password on many accounts is slowed down by address; a success with an account
// of one's own wipes nothing; others are not touched, and neither is the same account
// from elsewhere. An IPv6 network is one address. A user who has signed in from there
// still does.
func TestGuessesFromAnAddressAreSlowedDown(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("mallory")
	h.signUp("alice")
	h.signUp("carol")
	for network, addresses := range map[string][2]string{
		"4": {"192.0.2.66", "192.0.2.66"}, "6": {"2001:db8:1:2::1", "2001:db8:1:2:ffff::2"}, "mapped": {"192.0.2.67", "::ffff:192.0.2.67"},
	} {
		for i := range addressRule.free {
			h.wantTry(fmt.Sprintf("nobody%s%d", network, i), wrongPassword, addresses[i%2], CodeInvalidCredentials)
			if i == addressRule.free-2 {
				h.wantTry("mallory", goodPassword, addresses[0], "")
			}
		}
		h.wantTry("carol", goodPassword, addresses[1], CodeTooManyAttempts)
		h.wantTry("mallory", goodPassword, addresses[1], "")
		h.wantTry("alice", goodPassword, "2001:db8:1:3::1", "")
		h.wantTry("alice", goodPassword, "192.0.2.1", "")
		h.clock.Advance(time.Second)
		h.wantTry("mallory", goodPassword, addresses[1], "")
	}
	wantEqual(t, "throttled", counter(t, h.config.Metrics.throttled.WithLabelValues(scopeAddress)), 3)
}

// A hundred people may sign in from one address, all of them at the same moment and
// all day long.
func TestSuccessesAreNotCounted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const people = 100
	for i := range people {
		h.signUp(fmt.Sprintf("user%d", i))
	}
	for range 2 {
		var done sync.WaitGroup
		for i := range people {
			done.Go(func() {
				_, _, err := h.LogIn(t.Context(), fmt.Sprintf("user%d", i), goodPassword, Client{Address: "192.0.2.7"})
				if err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
	}
	var rows int
	h.scan("SELECT count(*) FROM login_throttle WHERE $1", true, &rows)
	wantEqual(t, "rows left", rows, 0)
}

// The count survives the process, and Redis is not asked: this package knows none.
func TestTheCountIsShared(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	for range accountRule.free {
		c, _ := h.try(h.another(), "alice", wrongPassword, "")
		wantEqual(t, "code", c, CodeInvalidCredentials)
	}
	c, _ := h.try(h.another(), "alice", goodPassword, "")
	wantEqual(t, "after a restart", c, CodeTooManyAttempts)
	// The other name of the account is another count: a way in for its owner.
	h.wantTry("alice@example.com", goodPassword, "", "")
	h.wantTry("@ALICE", goodPassword, "", CodeTooManyAttempts) // but a spelling is none
}

// What is known to be blocked costs no query.
func TestHammeringCostsNoQueries(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for range accountRule.free {
		h.wantTry("nobody", wrongPassword, "", CodeInvalidCredentials)
	}
	h.wantTry("nobody", wrongPassword, "", CodeTooManyAttempts)
	before := h.pool.Stat().AcquireCount()
	for range 100 {
		h.wantTry("nobody", wrongPassword, "", CodeTooManyAttempts)
	}
	wantEqual(t, "queries", h.pool.Stat().AcquireCount()-before, 0)
}

func TestBlocksAreBounded(t *testing.T) {
	t.Parallel()
	var b blockCache
	now := time.Now()
	for i := range 3 * maxBlocks {
		b.remember(throttleKey{byte(i), byte(i >> 8), byte(i >> 16), 1}, now, now.Add(time.Hour))
		if len(b.entries) > maxBlocks {
			t.Fatalf("%d are remembered", len(b.entries))
		}
	}
}

// Nobody can read out of the table who was tried, and rows do not stay.
func TestThrottleRowsTellNothingAndArePruned(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for i := range 30 {
		h.wantTry(fmt.Sprintf("stranger%d@example.com", i), wrongPassword, fmt.Sprintf("192.0.2.%d", i), CodeInvalidCredentials)
	}
	var rows, named int
	h.scan(`SELECT count(*), count(*) FILTER (WHERE login_throttle::text LIKE $1) FROM login_throttle`, "%stranger%", &rows, &named)
	wantEqual(t, "rows", rows, 60)
	wantEqual(t, "that name somebody", named, 0)
	gone, err := h.Prune(t.Context(), 100)
	testkit.Must(t, err)
	wantEqual(t, "pruned while they count", gone, 0)
	h.clock.Advance(accountRule.period + time.Second)
	gone, err = h.Prune(t.Context(), 50)
	testkit.Must(t, err)
	wantEqual(t, "pruned, with a limit", gone, 50)
	gone, err = h.Prune(t.Context(), 50)
	testkit.Must(t, err)
	wantEqual(t, "pruned after that", gone, 10)
}
