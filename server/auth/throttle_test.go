package auth

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

const wrongPassword = "wrong password"

// try attempts a log-in and returns the code and RetryAfter.
func (h *harness) try(s *Service, who, password, address string) (problem.Code, time.Duration) {
	h.t.Helper()
	_, _, err := s.LogIn(h.t.Context(), who, password, "", Client{Address: address})
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

// TestGuessesOnAccountAreThrottled: the sixth failure blocks for a second, and each later one for
// twice as long, at most a quarter of an hour. Existing and unknown accounts behave in the same
// way.
func TestGuessesOnAccountAreThrottled(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	var waits [2][]time.Duration
	for i, who := range []string{"alice", "unknown"} {
		for range accountRule.free {
			h.wantTry(who, wrongPassword, "", CodeInvalidCredentials)
		}
		for range 12 {
			wait := h.wantTry(who, wrongPassword, "", CodeTooManyAttempts)
			waits[i] = append(waits[i], wait)
			h.wantTry(who, goodPassword, "", CodeTooManyAttempts) // also with the right password
			h.clock.Advance(wait)
			h.wantTry(who, wrongPassword, "", CodeInvalidCredentials)
		}
	}
	testkit.Equal(t, "waits", fmt.Sprint(waits[0]), fmt.Sprint(waits[1]))
	t.Logf("%v", waits[0])
	for i := range 9 {
		if want := time.Second << i; waits[0][i] < want || waits[0][i] > want+time.Second {
			t.Errorf("block %d: %v, want %v", i+1, waits[0][i], want)
		}
	}
	if last := waits[0][11]; last < maxBlock || last > maxBlock+time.Second {
		t.Errorf("the last block: %v", last)
	}
	testkit.Equal(t, "throttled", counter(t, h.config.Metrics.throttled.WithLabelValues(scopeAccount)), 48)
}

// TestBlocksEnd: however long an attacker has guessed, the owner can sign in after the longest
// block, since refused attempts are not counted. A sign-in resets the count.
func TestBlocksEnd(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	for range 300 { // an attacker who does not stop
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

// TestFailuresExpire: failures expire one after the other, without a success.
func TestFailuresExpire(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for range accountRule.free {
		h.wantTry("unknown", wrongPassword, "", CodeInvalidCredentials)
	}
	h.clock.Advance(2 * accountRule.period) // two of the five failures expire
	h.wantTry("unknown", wrongPassword, "", CodeInvalidCredentials)
	h.wantTry("unknown", wrongPassword, "", CodeInvalidCredentials)
	h.wantTry("unknown", wrongPassword, "", CodeTooManyAttempts)
	h.clock.Advance(24 * time.Hour)
	for range accountRule.free {
		h.wantTry("unknown", wrongPassword, "", CodeInvalidCredentials)
	}
}

// TestParallelGuesses: of a hundred concurrent guesses in two processes, only the free ones are
// compared with the password.
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
			_, _, err := processes[i%2].LogIn(t.Context(), "alice", wrongPassword, "", Client{})
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
	testkit.Equal(t, "compared", count[CodeInvalidCredentials], accountRule.free)
	testkit.Equal(t, "refused", count[CodeTooManyAttempts], guesses-accountRule.free)
}

// TestGuessesFromAddressAreThrottled: guesses of one password on many accounts are throttled by
// address. Signing in to an account of the attacker does not reset the count. Other addresses are
// not affected, neither are attempts on the same account from elsewhere. An IPv6 network counts as
// one address. A user who has signed in from the address can still do so.
func TestGuessesFromAddressAreThrottled(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("mallory")
	h.signUp("alice")
	h.signUp("carol")
	for network, addresses := range map[string][2]string{
		"4": {"192.0.2.66", "192.0.2.66"}, "6": {"2001:db8:1:2::1", "2001:db8:1:2:ffff::2"}, "mapped": {"192.0.2.67", "::ffff:192.0.2.67"},
	} {
		for i := range addressRule.free {
			h.wantTry(fmt.Sprintf("unknown%s%d", network, i), wrongPassword, addresses[i%2], CodeInvalidCredentials)
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
	testkit.Equal(t, "throttled", counter(t, h.config.Metrics.throttled.WithLabelValues(scopeAddress)), 3)
}

// TestSuccessesAreNotCounted: a hundred users may sign in from one address, concurrently and
// repeatedly.
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
				_, _, err := h.LogIn(t.Context(), fmt.Sprintf("user%d", i), goodPassword, "", Client{Address: "192.0.2.7"})
				if err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
	}
	var rows int
	h.scan("SELECT count(*) FROM login_throttle WHERE $1", true, &rows)
	testkit.Equal(t, "rows left", rows, 0)
}

// TestCountIsShared: the count survives the process and is the same in all processes.
func TestCountIsShared(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	for range accountRule.free {
		c, _ := h.try(h.another(), "alice", wrongPassword, "")
		testkit.Equal(t, "code", c, CodeInvalidCredentials)
	}
	c, _ := h.try(h.another(), "alice", goodPassword, "")
	testkit.Equal(t, "after a restart", c, CodeTooManyAttempts)
	// The other login of the account has another count, with which its owner can sign in.
	h.wantTry("alice@example.com", goodPassword, "", "")
	h.wantTry("@ALICE", goodPassword, "", CodeTooManyAttempts) // another spelling is the same login
}

// TestBlockedAttemptsCostNoQueries: an attempt that is known to be blocked costs no query.
func TestBlockedAttemptsCostNoQueries(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for range accountRule.free {
		h.wantTry("unknown", wrongPassword, "", CodeInvalidCredentials)
	}
	h.wantTry("unknown", wrongPassword, "", CodeTooManyAttempts)
	before := h.pool.Stat().AcquireCount()
	for range 100 {
		h.wantTry("unknown", wrongPassword, "", CodeTooManyAttempts)
	}
	testkit.Equal(t, "queries", h.pool.Stat().AcquireCount()-before, 0)
}

func TestBlocksAreBounded(t *testing.T) {
	t.Parallel()
	var b blockCache
	now := time.Now()
	for i := range 3 * maxBlocks {
		b.remember(throttleKey{byte(i), byte(i >> 8), byte(i >> 16), 1}, now, now.Add(time.Hour))
		if len(b.entries) > maxBlocks {
			t.Fatalf("%d blocks are cached", len(b.entries))
		}
	}
}

// TestThrottleRowsRevealNothingAndArePruned: the table does not show which logins were tried, and
// its rows are pruned.
func TestThrottleRowsRevealNothingAndArePruned(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for i := range 30 {
		h.wantTry(fmt.Sprintf("unknown%d@example.com", i), wrongPassword, fmt.Sprintf("192.0.2.%d", i), CodeInvalidCredentials)
	}
	var rows, named int
	h.scan(`SELECT count(*), count(*) FILTER (WHERE login_throttle::text LIKE $1) FROM login_throttle`, "%unknown%", &rows, &named)
	testkit.Equal(t, "rows", rows, 60)
	testkit.Equal(t, "rows with a login", named, 0)
	gone, err := h.Prune(t.Context(), 100)
	testkit.Must(t, err)
	testkit.Equal(t, "pruned before they expire", gone, 0)
	h.clock.Advance(accountRule.period + time.Second)
	gone, err = h.Prune(t.Context(), 50)
	testkit.Must(t, err)
	testkit.Equal(t, "pruned, with a limit", gone, 50)
	gone, err = h.Prune(t.Context(), 50)
	testkit.Must(t, err)
	testkit.Equal(t, "pruned after that", gone, 10)
}

// TestFailuresCommitAsynchronously: the counts of failures and their events do not wait for the
// disk, but a session does. A deferred trigger sees the setting with which its transaction commits.
func TestFailuresCommitAsynchronously(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	_, err := h.owner().pool.Exec(t.Context(), `
CREATE TABLE commits (at text, setting text);
CREATE FUNCTION note_commit() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.commits VALUES (TG_TABLE_NAME, current_setting('synchronous_commit'));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER note AFTER INSERT OR UPDATE ON login_throttle DEFERRABLE INITIALLY DEFERRED
   FOR EACH ROW EXECUTE FUNCTION note_commit();
CREATE CONSTRAINT TRIGGER note AFTER INSERT ON security_events DEFERRABLE INITIALLY DEFERRED
   FOR EACH ROW EXECUTE FUNCTION note_commit();
CREATE CONSTRAINT TRIGGER note AFTER INSERT ON sessions DEFERRABLE INITIALLY DEFERRED
   FOR EACH ROW EXECUTE FUNCTION note_commit()`)
	testkit.Must(t, err)
	commits := func() (all []string) {
		rows, err := h.owner().pool.Query(t.Context(), `WITH old AS (DELETE FROM commits RETURNING *) SELECT at || ' ' || setting FROM old ORDER BY 1`)
		testkit.Must(t, err)
		all, err = pgx.CollectRows(rows, pgx.RowTo[string])
		testkit.Must(t, err)
		return all
	}
	wrong := func() {
		_, _, err := h.LogIn(t.Context(), "alice", "not the password", "", Client{Address: "192.0.2.1"})
		wantCode(t, err, CodeInvalidCredentials)
	}
	want := []string{"login_throttle off", "login_throttle off", "security_events off"} // the account, the address and the event
	wrong()
	testkit.Equal(t, "the first wrong password", fmt.Sprint(commits()), fmt.Sprint(want))
	wrong()
	testkit.Equal(t, "the second", fmt.Sprint(commits()), fmt.Sprint(want))
	h.logIn("alice")
	want = []string{"login_throttle off", "security_events on", "security_events on", "sessions on"} // signed in, on a new device
	testkit.Equal(t, "the right password", fmt.Sprint(commits()), fmt.Sprint(want))
}

// TestFreeFailuresBlockNoOther: a failure that is free does not refuse another attempt, also one
// that began earlier, or in a process whose clock is behind.
func TestFreeFailuresBlockNoOther(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	ahead := h.another(func(c *Config) { c.Now = func() time.Time { return h.clock.Now().Add(time.Minute) } })
	for range accountRule.free - 1 {
		for _, who := range []string{"alice", "bob"} {
			got, _ := h.try(ahead, who, wrongPassword, homeAddress)
			testkit.Equal(t, "ahead", got, CodeInvalidCredentials)
		}
	}
	h.wantTry("carol", wrongPassword, homeAddress, CodeInvalidCredentials)
	h.wantTry("alice", goodPassword, homeAddress, "")
}
