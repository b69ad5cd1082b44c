package auth

import (
	"fmt"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
)

// block makes failed attempts on a login from addresses that its user has never used, until the
// login is blocked.
func (h *harness) block(who string) {
	h.t.Helper()
	for i := range accountRule.free {
		h.wantTry(who, wrongPassword, fmt.Sprintf("203.0.113.%d", i), CodeInvalidCredentials)
	}
	h.wantTry(who, wrongPassword, "203.0.113.99", CodeTooManyAttempts)
}

const homeAddress = "192.0.2.7" // the address of signUp

// TestUserSignsInFromKnownAddress: wrong passwords from other addresses do not lock a user out at
// an address from which the user has signed in, by either login, in any process, however often they
// are repeated.
func TestUserSignsInFromKnownAddress(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	for _, who := range []string{"alice", "alice@example.com"} {
		for range 3 {
			h.block(who)
			h.wantTry(who, goodPassword, homeAddress, "")
			h.wantTry(who, goodPassword, "198.51.100.1", CodeTooManyAttempts) // other addresses are still refused
			h.wantTry(who, goodPassword, "", CodeTooManyAttempts)
			c, _ := h.try(h.another(), who, goodPassword, homeAddress) // after a restart
			testkit.Equal(t, "after a restart", c, "")
			h.clock.Advance(24 * time.Hour)
		}
	}
}

// TestSignInMakesAddressKnown: a sign-in from a new address makes it a known one. An IPv6 network
// counts as one address.
func TestSignInMakesAddressKnown(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	h.wantTry("alice", goodPassword, "2001:db8:1:2::1", "")
	h.block("alice")
	h.wantTry("alice", goodPassword, "2001:db8:1:2:ffff::2", "")
	h.wantTry("alice", goodPassword, "2001:db8:1:3::1", CodeTooManyAttempts)
	h.wantTry("bob", goodPassword, "2001:db8:1:2::1", CodeInvalidCredentials)
}

// TestKnownAddressHasOwnLimit: a known address has a limit of its own, which is that of an account.
func TestKnownAddressHasOwnLimit(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	h.wantTry("alice", goodPassword, "198.51.100.1", "")
	h.block("alice")
	for range accountRule.free {
		h.wantTry("alice", wrongPassword, homeAddress, CodeInvalidCredentials)
	}
	h.wantTry("alice", goodPassword, homeAddress, CodeTooManyAttempts)
	h.wantTry("alice", goodPassword, "198.51.100.1", "")
	h.clock.Advance(maxBlock)
	h.wantTry("alice", goodPassword, homeAddress, "")
}

// TestBlockedAddressAdmitsItsUsers: an attacker in the same network does not lock out the users for
// whom the address is known, and cannot make more attempts on other accounts.
func TestBlockedAddressAdmitsItsUsers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	h.signUp("bob")
	h.wantTry("bob", goodPassword, "192.0.2.8", "")
	for i := range addressRule.free {
		h.wantTry(fmt.Sprintf("unknown%d", i), wrongPassword, "192.0.2.8", CodeInvalidCredentials)
	}
	h.wantTry("alice", goodPassword, "192.0.2.8", CodeTooManyAttempts)
	h.wantTry("bob", goodPassword, "192.0.2.8", "")
}

// TestUnknownAddressRevealsNothing: an unknown login and a login whose user is not known at the
// address are refused in the same way, and repeated attempts cost no queries.
func TestUnknownAddressRevealsNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	var waits []time.Duration
	for _, who := range []string{"alice", "unknown"} {
		h.block(who)
		waits = append(waits, h.wantTry(who, goodPassword, "198.51.100.1", CodeTooManyAttempts))
		before := h.pool.Stat().AcquireCount()
		for range 100 {
			h.wantTry(who, goodPassword, "198.51.100.1", CodeTooManyAttempts)
		}
		testkit.Equal(t, "queries for "+who, h.pool.Stat().AcquireCount()-before, 0)
	}
	testkit.Equal(t, "wait", waits[0], waits[1])
}

func TestKnownAddressesAreBoundedAndPruned(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	count := func() (rows int) {
		h.scan(`SELECT count(*) FROM known_addresses WHERE user_id = $1`, alice.ID, &rows)
		return rows
	}
	for i := range maxKnownAddresses + 10 {
		h.clock.Advance(time.Second)
		h.wantTry("alice", goodPassword, fmt.Sprintf("198.51.100.%d", i), "")
	}
	testkit.Equal(t, "rows", count(), maxKnownAddresses)
	h.block("alice")
	h.wantTry("alice", goodPassword, "198.51.100.29", "")
	h.wantTry("alice", goodPassword, "198.51.100.2", CodeTooManyAttempts) // deleted as one of the oldest
	h.clock.Advance(keepKnownAddress + time.Hour)
	h.block("alice")
	h.wantTry("alice", goodPassword, "198.51.100.29", CodeTooManyAttempts) // too old, although not pruned yet
	_, err := h.Prune(t.Context(), 1000)
	testkit.Must(t, err)
	testkit.Equal(t, "rows after pruning", count(), 0)
}

// TestKnownAddressesRevealNothing: the table does not contain an address.
func TestKnownAddressesRevealNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	var named int
	h.scan(`SELECT count(*) FROM known_addresses k WHERE k::text LIKE $1`, "%192.0.2%", &named)
	testkit.Equal(t, "rows with an address", named, 0)
}
