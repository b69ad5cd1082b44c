package auth

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

func TestSessionsAreListedAndRevokedByTheirOwner(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, alice := h.signUp("alice")
	second := h.logIn("@Alice")
	third := h.logIn(" ALICE@example.com ")
	theirs, bob := h.signUp("bob")

	open, err := h.Sessions(t.Context(), alice.ID)
	testkit.Must(t, err)
	testkit.Equal(t, "sessions", len(open), 3)
	testkit.Equal(t, "newest", open[0].ID, third.SessionID)
	testkit.Equal(t, "client", open[2].Client, "kizo/1.0")
	testkit.Equal(t, "address", open[2].Address, "192.0.2.7")

	wantCode(t, h.RevokeSession(t.Context(), alice.ID, theirs.SessionID), CodeSessionNotFound)
	wantCode(t, h.RevokeSession(t.Context(), alice.ID, newID()), CodeSessionNotFound)
	testkit.Equal(t, "bob's session", h.refusal(theirs.AccessToken), "")
	testkit.Must(t, h.RevokeSession(t.Context(), alice.ID, second.SessionID))
	wantCode(t, h.RevokeSession(t.Context(), alice.ID, second.SessionID), CodeSessionNotFound)
	testkit.Equal(t, "revoked access", h.refusal(second.AccessToken), CodeSessionRevoked)
	testkit.Equal(t, "revoked refresh", h.refreshRefusal(second.RefreshToken), CodeRefreshTokenInvalid)
	testkit.Equal(t, "first", h.refusal(first.AccessToken), "")

	left, err := h.Sessions(t.Context(), alice.ID)
	testkit.Must(t, err)
	testkit.Equal(t, "sessions left", len(left), 2)
	none, err := h.Sessions(t.Context(), unknownID)
	testkit.Must(t, err)
	testkit.Equal(t, "sessions of an unknown user", len(none), 0)
	testkit.Equal(t, "bob has the id of alice", bob.ID == alice.ID, false)
}

// TestClientIsCleaned: a client may send any text as user agent and address.
func TestClientIsCleaned(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, user := h.signUp("alice")
	for _, c := range []struct{ in, want Client }{
		{Client{UserAgent: "\x1b]52;c;AAAA\x07kizo\u202e/1\r\n\x00\u009b2J", Address: "::ffff:192.0.2.7"}, Client{UserAgent: "]52;c;AAAAkizo/1 2J", Address: "192.0.2.7"}},
		{Client{UserAgent: strings.Repeat("é", 5000), Address: "2001:db8::1%eth0"}, Client{UserAgent: strings.Repeat("é", 120), Address: "2001:db8::1"}},
		{Client{UserAgent: "\xff\xfe", Address: "not an address"}, Client{UserAgent: "", Address: ""}},
		{Client{UserAgent: strings.Repeat("\u200b", 600), Address: strings.Repeat("1", 600)}, Client{UserAgent: "", Address: ""}},
	} {
		_, _, err := h.LogIn(t.Context(), "alice", goodPassword, "", c.in)
		testkit.Must(t, err)
		open, err := h.Sessions(t.Context(), user.ID)
		testkit.Must(t, err)
		testkit.Equal(t, "stored", Client{UserAgent: open[0].Client, Address: open[0].Address}, c.want)
	}
}

// TestVerifyReadsCurrentRole: role and handle come from the table, so that a change of the role
// applies at once, in both directions.
func TestVerifyReadsCurrentRole(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, user := h.signUp("alice")
	role := func() Role {
		principal, err := h.Verify(t.Context(), tokens.AccessToken)
		testkit.Must(t, err)
		testkit.Equal(t, "user", principal.UserID, user.ID)
		testkit.Equal(t, "session", principal.SessionID, tokens.SessionID)
		testkit.Equal(t, "handle", principal.Handle, "alice")
		return principal.Role
	}
	testkit.Equal(t, "at first", role(), RoleUser)
	wantCode(t, h.owner().Grant(t.Context(), "alice@example.com", RoleOperator, "test"), CodeUserNotFound) // the address is not verified
	h.verify("alice")
	testkit.Must(t, h.owner().Grant(t.Context(), "alice@example.com", RoleOperator, "test"))
	testkit.Equal(t, "granted", role(), RoleOperator)
	testkit.Must(t, h.owner().Grant(t.Context(), "@alice", RoleUser, "test"))
	testkit.Equal(t, "revoked", role(), RoleUser)
	wantCode(t, h.owner().Grant(t.Context(), "unknown", RoleOperator, "test"), CodeUserNotFound)
	wantCode(t, h.owner().Grant(t.Context(), "", RoleOperator, "test"), CodeUserNotFound)
	if err := h.owner().Grant(t.Context(), "alice", "root", "test"); err == nil {
		t.Error("an unknown role was granted")
	}
}

// TestVerifyConcurrently: many concurrent calls, for more sessions than one query reads, while one
// session is ended. Every caller gets the answer for its own session.
func TestVerifyConcurrently(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.sessionLookUps.max = 4
	h.signUp("alice")
	var all []Tokens
	for range 12 {
		all = append(all, h.logIn("alice"))
	}
	ended := all[0]
	testkit.Must(t, h.LogOut(t.Context(), ended.SessionID))
	var asking sync.WaitGroup
	for _, held := range all {
		for range 8 {
			asking.Go(func() {
				principal, err := h.Verify(t.Context(), held.AccessToken)
				switch {
				case held.SessionID == ended.SessionID:
					if problem.CodeOf(err) != CodeSessionRevoked {
						t.Errorf("ended session: %v", err)
					}
				case err != nil || principal.SessionID != held.SessionID:
					t.Errorf("session %s: %+v, %v", held.SessionID, principal, err)
				}
			})
		}
	}
	asking.Wait()
}

func BenchmarkVerify(b *testing.B) {
	for _, callers := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d callers per core", callers), func(b *testing.B) { benchmarkVerify(b, callers, false) })
	}
	b.Run("with a second factor and a threshold", func(b *testing.B) { benchmarkVerify(b, 1, true) })
}

func benchmarkVerify(b *testing.B, callers int, withFactor bool) {
	h := newHarness(b)
	tokens, alice := h.signUp("alice")
	if withFactor {
		h.factorOf(alice, tokens)
		amount := int64(500)
		testkit.Must(b, h.SetStepUpThreshold(b.Context(), h.principal(h.Service, tokens), "USD", &amount, Client{}))
	}
	b.ReportAllocs()
	b.SetParallelism(callers)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p, err := h.Verify(b.Context(), tokens.AccessToken)
			if err != nil {
				b.Error(err)
			}
			if p.NeedsStepUpFor("USD", 501) != withFactor {
				b.Error("a wrong answer")
			}
		}
	})
}
