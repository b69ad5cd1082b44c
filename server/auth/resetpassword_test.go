package auth

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/pgerr"
	"github.com/JDevAman/kizo/server/problem"
)

func (h *harness) issueResetCode(login string) ResetCode {
	h.t.Helper()
	code, err := h.owner().IssueResetCode(h.t.Context(), login, time.Hour, "test")
	testkit.Must(h.t, err)
	return code
}

func (h *harness) resetPassword(login, resetCode, password string) problem.Code {
	h.t.Helper()
	return code(h.t, h.ResetPassword(h.t.Context(), ResetPasswordInput{Login: login, Code: resetCode, New: password}))
}

func TestResetPassword(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, alice := h.signUp("alice")
	secret, _ := h.createKey(alice.ID, "payroll")
	_, err := h.Verify(t.Context(), tokens.AccessToken)
	testkit.Must(t, err)
	lost := h.issueResetCode("@alice")
	issued := h.issueResetCode("@alice")
	if len(issued.Code) != 23 || strings.Count(issued.Code, "-") != 3 || issued.Code == lost.Code {
		t.Errorf("codes %q and %q", lost.Code, issued.Code)
	}
	testkit.Equal(t, "ended and left", fmt.Sprint(lost.SessionsEnded, lost.APIKeys, issued.SessionsEnded), "1 1 0")
	if shown := fmt.Sprintf("%v %+v %s %#v", issued, issued, issued, issued); strings.Contains(shown, issued.Code) {
		t.Errorf("formatting shows the code: %s", shown)
	}

	// From then on, the user has no password and no session.
	testkit.Equal(t, "access", h.refusal(tokens.AccessToken), CodeSessionRevoked)
	testkit.Equal(t, "refresh", h.refreshRefusal(tokens.RefreshToken), CodeRefreshTokenInvalid)
	for _, login := range []string{"alice", "alice@example.com"} {
		_, _, err := h.LogIn(t.Context(), login, goodPassword, "", Client{})
		wantCode(t, err, CodeInvalidCredentials)
	}
	testkit.Equal(t, "API key", h.keyRefusal(secret), "")

	testkit.Equal(t, "earlier code", h.resetPassword("alice", lost.Code, otherPassword), CodeResetCodeInvalid)
	testkit.Equal(t, "weak password", h.resetPassword("alice", issued.Code, "short"), CodePasswordTooShort)
	testkit.Equal(t, "personal password", h.resetPassword("alice", issued.Code, "alice-alice-1"), CodePasswordPersonal)
	typed := strings.ReplaceAll(strings.ToLower(issued.Code), "-", " ")
	testkit.Equal(t, "right code", h.resetPassword("@Alice", strings.ReplaceAll(typed, "0", "o"), otherPassword), "")
	testkit.Equal(t, "the same code", h.resetPassword("alice", issued.Code, goodPassword), CodeResetCodeInvalid)
	_, _, err = h.LogIn(t.Context(), "alice@example.com", otherPassword, "", Client{})
	testkit.Must(t, err)

	events, err := h.History(t.Context(), alice.ID, 100)
	testkit.Must(t, err)
	var details []string
	for _, e := range slices.Backward(events) {
		if e.Event == EventPasswordChanged {
			details = append(details, e.Detail)
		}
	}
	ended := "ended by an operator, who issued a reset code"
	testkit.Equal(t, "events", fmt.Sprint(details), fmt.Sprint([]string{ended, ended, "with a reset code"}))
	var actions int
	h.scan(`SELECT count(*) FROM operator_actions WHERE action = 'password.reset' AND subject = $1`, "alice", &actions)
	testkit.Equal(t, "recorded actions", actions, 2)
}

// TestResetCodeEnds: a code is valid for its time and for five attempts, for its user, and while
// the user is active.
func TestResetCodeEnds(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("bob")
	_, alice := h.signUp("alice")

	expired := h.issueResetCode("alice")
	h.clock.Advance(time.Hour)
	testkit.Equal(t, "expired", h.resetPassword("alice", expired.Code, otherPassword), CodeResetCodeInvalid)

	guessed := h.issueResetCode("alice")
	wrong := strings.Repeat("0", 20)
	for range maxResetFailures {
		h.clock.Advance(time.Minute) // longer than the block of the throttle
		testkit.Equal(t, "guess", h.resetPassword("alice", wrong, otherPassword), CodeResetCodeInvalid)
	}
	h.clock.Advance(time.Minute)
	testkit.Equal(t, "guessed too often", h.resetPassword("alice", guessed.Code, otherPassword), CodeResetCodeInvalid)
	h.clock.Advance(10 * accountRule.period)

	issued := h.issueResetCode("alice")
	testkit.Equal(t, "of another user", h.resetPassword("bob", issued.Code, otherPassword), CodeResetCodeInvalid)
	testkit.Equal(t, "of no user", h.resetPassword("carol", issued.Code, otherPassword), CodeResetCodeInvalid)
	testkit.Equal(t, "by an unverified address", h.resetPassword("alice@example.com", issued.Code, otherPassword), CodeResetCodeInvalid)
	testkit.Must(t, h.Suspend(t.Context(), alice.ID, "test"))
	testkit.Equal(t, "wrong code of a suspended user", h.resetPassword("alice", wrong, otherPassword), CodeResetCodeInvalid)
	testkit.Equal(t, "suspended", h.resetPassword("alice", issued.Code, otherPassword), CodeAccountSuspended)
	testkit.Must(t, h.Reinstate(t.Context(), alice.ID, "test"))
	testkit.Equal(t, "reinstated", h.resetPassword("alice", issued.Code, otherPassword), "")

	_, err := h.owner().IssueResetCode(t.Context(), "carol", time.Hour, "test")
	wantCode(t, err, CodeUserNotFound)
	_, err = h.owner().IssueResetCode(t.Context(), "alice@example.com", time.Hour, "test")
	wantCode(t, err, CodeUserNotFound)
	if _, err := h.IssueResetCode(t.Context(), "alice", time.Hour, "test"); err == nil {
		t.Error("the application's role issued a code")
	}
}

// TestResetGuesses: guesses of a code are throttled like guesses of a password.
func TestResetGuesses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	for _, login := range []string{"alice", "carol"} {
		var codes []problem.Code
		for range accountRule.free + 2 {
			codes = append(codes, h.resetPassword(login, "00000", otherPassword))
		}
		testkit.Equal(t, login, codes[accountRule.free-1], CodeResetCodeInvalid)
		testkit.Equal(t, login, codes[accountRule.free+1], CodeTooManyAttempts)
	}
}

// TestResetCodeWorksOnce: of concurrent resets with one code, one takes effect.
func TestResetCodeWorksOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	issued := h.issueResetCode("alice")
	codes := make([]problem.Code, accountRule.free)
	var all sync.WaitGroup
	for i := range codes {
		all.Go(func() { codes[i] = h.resetPassword("alice", issued.Code, fmt.Sprint(otherPassword, i)) })
	}
	all.Wait()
	done := slices.Index(codes, "")
	slices.Sort(codes)
	testkit.Equal(t, "results", fmt.Sprint(codes[0] == "", codes[1:]), fmt.Sprint(true, slices.Repeat([]problem.Code{CodeResetCodeInvalid}, len(codes)-1)))
	_, _, err := h.LogIn(t.Context(), "alice", fmt.Sprint(otherPassword, done), "", Client{})
	testkit.Must(t, err)
}

// TestRemoveLostSecondFactor: a user without the app and the recovery codes comes back by an
// operator: with another password and no second factor, and with all sessions ended.
func TestRemoveLostSecondFactor(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	_, err := h.owner().RemoveLostSecondFactor(t.Context(), "alice", time.Hour, "test")
	wantCode(t, err, CodeSecondFactorMissing)
	testkit.Equal(t, "the session after a refusal", h.refusal(session.AccessToken), "")
	_, codes := h.factorOf(alice, session)
	_, err = h.RemoveLostSecondFactor(t.Context(), "alice", time.Hour, "test")
	if !pgerr.IsForbidden(err) {
		t.Errorf("as the application's role: %v, want a refusal of the database", err)
	}
	testkit.Equal(t, "before", h.logInWith(""), CodeOTPRequired)

	issued, err := h.owner().RemoveLostSecondFactor(t.Context(), "@alice", time.Hour, "lost both")
	testkit.Must(t, err)
	testkit.Equal(t, "sessions ended", issued.SessionsEnded, 1)
	testkit.Equal(t, "access", h.refusal(session.AccessToken), CodeSessionRevoked)
	testkit.Equal(t, "the earlier password", h.logInWith(codes[0]), CodeInvalidCredentials)
	testkit.Equal(t, "reset", h.resetPassword("alice", issued.Code, otherPassword), "")
	_, _, err = h.LogIn(t.Context(), "alice", otherPassword, "", Client{})
	testkit.Must(t, err)
	testkit.Equal(t, "events", h.countEvents(alice.ID, EventSecondFactorRemoved), 1)
	var recorded string
	h.scan(`SELECT action || ' ' || subject || ' ' || reason FROM operator_actions WHERE action <> $1`, "password.reset", &recorded)
	testkit.Equal(t, "action", recorded, "second_factor.remove alice lost both")
}
