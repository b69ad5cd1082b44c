package auth

import (
	"fmt"
	"sync"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

func (h *harness) changePassword(user User, session Tokens, current, next string) (PasswordChange, error) {
	h.t.Helper()
	return h.ChangePassword(h.t.Context(), user.ID, ChangePasswordInput{
		SessionID: session.SessionID, Current: current, New: next, Client: Client{Address: goodAddress},
	})
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, alice := h.signUp("alice")
	second, third := h.logIn("alice"), h.logIn("alice@example.com")
	theirs, _ := h.signUp("bob")
	secret, _ := h.createKey(alice.ID, "payroll")
	other := h.another()
	for _, tokens := range []Tokens{first, second, third} {
		_, err := other.Verify(t.Context(), tokens.AccessToken) // it is in the cache of the other process
		testkit.Must(t, err)
	}

	changed, err := h.changePassword(alice, second, goodPassword, otherPassword)
	testkit.Must(t, err)
	testkit.Equal(t, "change", changed, PasswordChange{SessionsEnded: 2, APIKeys: 1})
	for _, ended := range []Tokens{first, third} {
		for _, service := range []*Service{h.Service, other} {
			_, err := service.Verify(t.Context(), ended.AccessToken)
			wantCode(t, err, CodeSessionRevoked)
		}
		testkit.Equal(t, "refresh of an ended session", h.refreshRefusal(ended.RefreshToken), CodeRefreshTokenInvalid)
	}
	testkit.Equal(t, "the session of the change", h.refusal(second.AccessToken), "")
	testkit.Equal(t, "its refresh token", h.refreshRefusal(second.RefreshToken), "")
	testkit.Equal(t, "the session of another user", h.refusal(theirs.AccessToken), "")
	testkit.Equal(t, "the API key", h.keyRefusal(secret), "")
	for _, login := range []string{"alice", "alice@example.com"} {
		_, _, err := h.LogIn(t.Context(), login, goodPassword, "", Client{})
		wantCode(t, err, CodeInvalidCredentials)
		_, _, err = h.LogIn(t.Context(), login, otherPassword, "", Client{})
		testkit.Must(t, err)
	}
	events, err := h.History(t.Context(), alice.ID, 100)
	testkit.Must(t, err)
	counts := map[SecurityEvent]int{}
	for _, e := range events {
		counts[e.Event]++
		if e.Event == EventPasswordChanged && (e.Address != goodAddress || e.SessionID == nil || *e.SessionID != second.SessionID) {
			t.Errorf("event %+v", e)
		}
	}
	testkit.Equal(t, "events", fmt.Sprint(counts[EventPasswordChanged], counts[EventSessionRevoked], counts[EventSignInFailed]), "1 2 2")
}

// TestChangePasswordRefusals: nothing changes, and no session ends.
func TestChangePasswordRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, alice := h.signUp("alice")
	elsewhere := h.logIn("alice")
	for _, c := range []struct {
		current, next string
		code          problem.Code
	}{
		{"wrong " + goodPassword, otherPassword, CodeInvalidCredentials},
		{"", otherPassword, CodeInvalidCredentials},
		{goodPassword, "short", CodePasswordTooShort},
		{goodPassword, "password1234", CodePasswordTooCommon},
		{goodPassword, "alice-alice-1", CodePasswordPersonal},
		{goodPassword, "\xff\xfe\xfd123456789", CodePasswordMalformed},
		{goodPassword, goodPassword, CodePasswordUnchanged},
	} {
		_, err := h.changePassword(alice, tokens, c.current, c.next)
		wantCode(t, err, c.code)
	}
	testkit.Equal(t, "the other session", h.refusal(elsewhere.AccessToken), "")
	h.logIn("alice")

	// Guesses of the current password are throttled like those of a log-in.
	var err error
	for range 2*accountRule.free + 2 { // those of the account, and those of its known address
		_, err = h.changePassword(alice, tokens, "wrong "+goodPassword, otherPassword)
	}
	wantCode(t, err, CodeTooManyAttempts)
	_, err = h.ChangePassword(t.Context(), unknownID, ChangePasswordInput{Current: goodPassword, New: otherPassword})
	wantCode(t, err, CodeUserNotFound)
}

// pausedHasher reports a hash that is done, and returns it when the test says so.
type pausedHasher struct {
	InProcess
	hashed, release chan struct{}
}

func (p *pausedHasher) Hash(job HashJob) ([]byte, error) {
	digest, err := p.InProcess.Hash(job)
	p.hashed <- struct{}{}
	<-p.release
	return digest, err
}

// TestChangePasswordOvertakes: a caller who compared the earlier password before the change gets
// nothing after it.
func TestChangePasswordOvertakes(t *testing.T) {
	t.Parallel()
	for name, overtaken := range map[string]func(*Service, User) error{
		"log-in": func(s *Service, _ User) error {
			_, _, err := s.LogIn(t.Context(), "alice", goodPassword, "", Client{})
			return err
		},
		"new API key": func(s *Service, u User) error {
			_, _, err := s.CreateAPIKey(t.Context(), u.ID, NewAPIKey{Name: "thief", Scopes: ScopeRead, Password: goodPassword})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			tokens, alice := h.signUp("alice")
			paused := &pausedHasher{hashed: make(chan struct{}), release: make(chan struct{})}
			other := h.another(func(c *Config) { c.Hasher = paused })
			result := make(chan error, 1)
			go func() { result <- overtaken(other, alice) }()
			<-paused.hashed
			_, err := h.changePassword(alice, tokens, goodPassword, otherPassword)
			testkit.Must(t, err)
			close(paused.release)
			wantCode(t, <-result, CodeInvalidCredentials)
			open, err := h.Sessions(t.Context(), alice.ID)
			testkit.Must(t, err)
			keys, err := h.APIKeys(t.Context(), alice.ID)
			testkit.Must(t, err)
			testkit.Equal(t, "sessions and keys", fmt.Sprint(len(open), len(keys)), "1 0")
		})
	}
}

// TestChangePasswordAtOnce: of concurrent changes with the same current password, one takes
// effect.
func TestChangePasswordAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, alice := h.signUp("alice")
	const changes = 4 // fewer than the free failures of accountRule
	errs := make([]error, changes)
	var all sync.WaitGroup
	for i := range changes {
		all.Go(func() { _, errs[i] = h.changePassword(alice, tokens, goodPassword, fmt.Sprint(otherPassword, i)) })
	}
	all.Wait()
	var done []int
	for i, err := range errs {
		if err == nil {
			done = append(done, i)
			continue
		}
		wantCode(t, err, CodeInvalidCredentials)
	}
	testkit.Equal(t, "changes", len(done), 1)
	_, _, err := h.LogIn(t.Context(), "alice", fmt.Sprint(otherPassword, done[0]), "", Client{})
	testkit.Must(t, err)
}
