package auth

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

// principal returns the principal of an access token, as process s sees it.
func (h *harness) principal(s *Service, tokens Tokens) Principal {
	h.t.Helper()
	p, err := s.Verify(h.t.Context(), tokens.AccessToken)
	testkit.Must(h.t, err)
	return p
}

// needs reports whether a session needs a step-up, in each process.
func (h *harness) needs(tokens Tokens, processes ...*Service) string {
	h.t.Helper()
	text := ""
	for _, s := range append([]*Service{h.Service}, processes...) {
		text += fmt.Sprintf("%t ", h.principal(s, tokens).NeedsStepUp())
	}
	return text
}

// logInWithCode opens a session with a recovery code.
func (h *harness) logInWithCode(code string) Tokens {
	h.t.Helper()
	tokens, _, err := h.LogIn(h.t.Context(), "alice", goodPassword, code, Client{})
	testkit.Must(h.t, err)
	return tokens
}

// events counts the stored security events of a user.
func (h *harness) events(user User) map[SecurityEvent]int {
	h.t.Helper()
	events, err := h.History(h.t.Context(), user.ID, 1000)
	testkit.Must(h.t, err)
	counts := map[SecurityEvent]int{}
	for _, e := range events {
		counts[e.Event]++
	}
	return counts
}

// TestStepUpIsOfItsSession: a step-up is valid for five minutes, in all processes, for the session
// that has made it, and not for another session of the user: neither one that the user has
// elsewhere nor one that a thief of the password and a code has opened before.
func TestStepUpIsOfItsSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, alice := h.signUp("alice")
	other := h.another()
	testkit.Equal(t, "without a second factor", h.needs(first, other), "false false ")
	secret, codes := h.factorOf(alice, first)
	second := h.logInWithCode(codes[0])
	testkit.Equal(t, "after a log-in with a code", h.needs(second, other), "false false ")
	h.clock.Advance(StepUpLifetime - time.Microsecond)
	testkit.Equal(t, "at the end of it", h.needs(second, other), "false false ")
	h.clock.Advance(time.Microsecond)
	testkit.Equal(t, "after it", h.needs(second, other), "true true ")

	until, err := h.StepUp(t.Context(), h.principal(h.Service, first), h.otpAt(secret, 0), Client{})
	testkit.Must(t, err)
	testkit.Equal(t, "until", until, h.now().Add(StepUpLifetime))
	testkit.Equal(t, "the session", h.needs(first, other), "false false ")
	testkit.Equal(t, "another session", h.needs(second, other), "true true ")
	h.clock.Advance(time.Minute)
	refreshed, _, err := h.Refresh(t.Context(), first.RefreshToken, Client{})
	testkit.Must(t, err)
	testkit.Equal(t, "after a refresh", h.needs(refreshed, other), "false false ")

	// The session of a token decides, not what the caller says: a step-up of a session of another
	// user changes nothing, and an ended session cannot have one.
	bobs, bob := h.signUp("bob")
	mixed := Principal{UserID: alice.ID, SessionID: bobs.SessionID, Handle: "alice"}
	_, err = h.StepUp(t.Context(), mixed, codes[1], Client{})
	wantCode(t, err, CodeSessionRevoked)
	_, err = h.StepUp(t.Context(), Principal{UserID: bob.ID, SessionID: bobs.SessionID, Handle: "bob"}, codes[1], Client{})
	wantCode(t, err, CodeSecondFactorMissing)
	before := h.principal(h.Service, second)
	testkit.Must(t, h.RevokeSession(t.Context(), alice.ID, second.SessionID))
	_, err = h.StepUp(t.Context(), before, codes[1], Client{})
	wantCode(t, err, CodeSessionRevoked)
	_, err = h.StepUp(t.Context(), h.principal(h.Service, refreshed), codes[1], Client{})
	testkit.Must(t, err) // the refused attempts have not used the code
	testkit.Equal(t, "stepped up", h.events(alice)[EventSteppedUp], 2)
	t.Log("step-ups taken to another session: 0 of 3")
}

// TestStepUpEndsWithThePassword: after a change of the password, neither old tokens nor old
// step-ups are of use.
func TestStepUpEndsWithThePassword(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, alice := h.signUp("alice")
	_, codes := h.factorOf(alice, first)
	stolen, kept := h.logInWithCode(codes[0]), h.logInWithCode(codes[1])
	other := h.another()
	testkit.Equal(t, "before", h.needs(stolen, other)+h.needs(kept, other), "false false false false ")
	_, err := h.ChangePassword(t.Context(), alice.ID, ChangePasswordInput{SessionID: kept.SessionID, Current: goodPassword, New: otherPassword})
	testkit.Must(t, err) // the log-in was a step-up
	dead := 0
	for _, s := range []*Service{h.Service, other} {
		for _, tokens := range []Tokens{first, stolen} {
			_, err := s.Verify(t.Context(), tokens.AccessToken)
			wantCode(t, err, CodeSessionRevoked)
			_, _, err = s.Refresh(t.Context(), tokens.RefreshToken, Client{})
			wantCode(t, err, CodeRefreshTokenInvalid)
			dead++
		}
	}
	testkit.Equal(t, "the session of the change", h.needs(kept, other), "true true ")
	_, _, err = h.CreateAPIKey(t.Context(), alice.ID, NewAPIKey{Name: "k", Scopes: ScopeRead, Password: otherPassword, SessionID: kept.SessionID})
	wantCode(t, err, CodeStepUpRequired)
	t.Logf("tokens of other sessions that work after the change: 0 of %d; step-ups: 0 of 3", dead)
}

// TestOneCodeForManyStepUps: of a hundred step-ups at once with one code, one is accepted, whatever
// the sessions and the processes; the same for a recovery code, and for a code that was used
// before.
func TestOneCodeForManyStepUps(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"code of the app", "recovery code"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			first, alice := h.signUp("alice")
			secret, codes := h.factorOf(alice, first)
			sessions := []Principal{h.principal(h.Service, first), h.principal(h.Service, h.logInWithCode(codes[0])), h.principal(h.Service, h.logInWithCode(codes[1]))}
			h.clock.Advance(StepUpLifetime)
			code := h.otpAt(secret, 0)
			if name == "recovery code" {
				code = codes[2]
			}
			processes := []*Service{h.Service, h.another(), h.another()}
			outcomes, once := map[problem.Code]int{}, sync.Mutex{}
			var racing sync.WaitGroup
			for i := range 100 {
				racing.Go(func() {
					_, err := processes[i%3].StepUp(t.Context(), sessions[i/3%3], code, Client{})
					once.Lock()
					defer once.Unlock()
					outcomes[problem.CodeOf(err)]++
					if err != nil && problem.CodeOf(err) == "" {
						t.Error(err)
					}
				})
			}
			racing.Wait()
			t.Logf("100 step-ups with one %s: %v", name, outcomes)
			testkit.Equal(t, "accepted", outcomes[""], 1)
			testkit.Equal(t, "refused", outcomes[CodeOTPInvalid]+outcomes[CodeTooManyAttempts], 99)
			testkit.Equal(t, "stepped up", h.events(alice)[EventSteppedUp], 1)
			var stepped int
			h.scan(`SELECT count(*) FROM sessions WHERE user_id = $1 AND stepped_up_at = (SELECT max(stepped_up_at) FROM sessions)`, alice.ID, &stepped)
			testkit.Equal(t, "sessions", stepped, 1)
			h.clock.Advance(time.Hour) // the wrong ones have expired
			_, err := h.StepUp(t.Context(), sessions[0], code, Client{})
			wantCode(t, err, CodeOTPInvalid)
		})
	}
}

// TestStepUpGuessesCountByUser: codes that are guessed in many sessions, from many addresses and in
// many processes count together. They keep neither the user from a log-in nor another user from a
// step-up, and wrong log-ins do not keep the user from a step-up.
func TestStepUpGuessesCountByUser(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, alice := h.signUp("alice")
	_, codes := h.factorOf(alice, first)
	sessions := []Principal{h.principal(h.Service, first)}
	for _, code := range codes[:8] {
		sessions = append(sessions, h.principal(h.Service, h.logInWithCode(code)))
	}
	processes := []*Service{h.Service, h.another(), h.another()}
	compared := 0
	const guesses, days = 2000, 2
	for i := range guesses {
		_, err := processes[i%3].StepUp(t.Context(), sessions[i%len(sessions)], fmt.Sprintf("%06d", i), Client{Address: fmt.Sprintf("192.0.2.%d", i%250)})
		if got := code(t, err); got == CodeOTPInvalid {
			compared++
		} else {
			testkit.Equal(t, "code", got, CodeTooManyAttempts)
		}
		h.clock.Advance(days * 24 * time.Hour / guesses)
	}
	t.Logf("codes compared in %d days: %d of %d guesses, in %d sessions and from 250 addresses", days, compared, guesses, len(sessions))
	if most := days*24*4 + accountRule.free + beyondFree; compared > most { // one expires in each quarter of an hour
		t.Errorf("%d guesses compared, more than %d", compared, most)
	}
	testkit.Equal(t, "failures stored", h.events(alice)[EventStepUpFailed], compared)
	testkit.Equal(t, "a log-in of the user", h.logInWith(codes[8]), "")
	bobs, bob := h.signUp("bob")
	secret, _ := h.factorOf(bob, bobs)
	_, err := h.StepUp(t.Context(), h.principal(h.Service, bobs), h.otpAt(secret, 0), Client{})
	testkit.Must(t, err)
	for range 20 {
		_, _, _ = h.LogIn(t.Context(), "bob", "wrong "+goodPassword, "", Client{})
	}
	h.clock.Advance(factorStep)
	_, err = h.StepUp(t.Context(), h.principal(h.Service, bobs), h.otpAt(secret, 0), Client{})
	testkit.Must(t, err)
}

// TestWrongSecondFactorAtLogIn: a right password with a wrong code is an event of its own.
func TestWrongSecondFactorAtLogIn(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	h.factorOf(alice, session)
	testkit.Equal(t, "wrong code", h.logInWith("000000"), CodeOTPInvalid)
	counts := h.events(alice)
	testkit.Equal(t, "second_factor_failed", counts[EventSecondFactorFailed], 1)
	testkit.Equal(t, "sign_in_failed", counts[EventSignInFailed], 0)
}

// TestStepUpThresholds: lower at once, higher or none with a step-up only, and all processes use a
// threshold when the change has returned.
func TestStepUpThresholds(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.AccessTTL = 24 * time.Hour })
	session, alice := h.signUp("alice")
	other := h.another()
	amount := func(n int64) *int64 { return &n }
	set := func(n *int64) problem.Code {
		return problem.CodeOf(h.SetStepUpThreshold(t.Context(), h.principal(h.Service, session), "USD", n, Client{}))
	}
	asked := func(minor int64) string {
		return fmt.Sprint(h.principal(h.Service, session).NeedsStepUpFor("USD", minor), h.principal(other, session).NeedsStepUpFor("USD", minor))
	}
	testkit.Equal(t, "without a second factor", set(amount(1)), CodeSecondFactorMissing)
	secret, codes := h.factorOf(alice, session)
	testkit.Equal(t, "without a threshold", asked(1_000_000), "false false")
	testkit.Equal(t, "the first", set(amount(500)), "")
	testkit.Equal(t, "at it", asked(500), "false false")
	testkit.Equal(t, "above it", asked(501), "true true")
	testkit.Equal(t, "another currency", h.principal(h.Service, session).NeedsStepUpFor("EUR", 501), false)
	testkit.Equal(t, "lower", set(amount(0)), "")
	testkit.Equal(t, "above zero", asked(1), "true true")
	testkit.Equal(t, "higher", set(amount(1)), CodeStepUpRequired)
	testkit.Equal(t, "none", set(nil), CodeStepUpRequired)
	testkit.Equal(t, "the same", set(amount(0)), "")

	p := h.principal(h.Service, session)
	_, err := h.StepUp(t.Context(), p, h.otpAt(secret, 0), Client{})
	testkit.Must(t, err)
	testkit.Equal(t, "stepped up", asked(1), "false false")
	testkit.Equal(t, "higher, stepped up", set(amount(700)), "")
	status, err := h.StepUpStatus(t.Context(), p)
	testkit.Must(t, err)
	testkit.Equal(t, "until", status.Until, h.now().Add(StepUpLifetime))
	testkit.Equal(t, "thresholds", fmt.Sprint(status.Thresholds), "[{USD 700}]")
	h.clock.Advance(StepUpLifetime)
	testkit.Equal(t, "above the higher", asked(700)+" "+asked(701), "false false true true")
	_, err = h.StepUp(t.Context(), p, codes[0], Client{})
	testkit.Must(t, err)
	testkit.Equal(t, "none, stepped up", set(nil), "")
	testkit.Equal(t, "none again", set(nil), "")
	h.clock.Advance(StepUpLifetime)
	testkit.Equal(t, "without one", asked(1_000_000), "false false")
	testkit.Equal(t, "changes stored", h.events(alice)[EventStepUpChanged], 4)

	// They end with the second factor, in every process.
	testkit.Equal(t, "again", set(amount(5)), "")
	testkit.Must(t, h.RemoveSecondFactor(t.Context(), p, goodPassword, codes[1], Client{}))
	testkit.Equal(t, "without a second factor", asked(6)+" "+h.needs(session, other), "false false false false ")
	h.factorOf(alice, session)
	testkit.Equal(t, "with another one", asked(6)+" "+h.needs(session, other), "false false true true ")
}

// TestRecoveryCodesAreRenewed: with the password and a step-up or a code; the earlier ones end.
func TestRecoveryCodesAreRenewed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	p := h.principal(h.Service, session)
	_, err := h.RenewRecoveryCodes(t.Context(), p, goodPassword, "", Client{})
	wantCode(t, err, CodeSecondFactorMissing)
	_, codes := h.factorOf(alice, session)
	_, err = h.RenewRecoveryCodes(t.Context(), p, goodPassword, "", Client{})
	wantCode(t, err, CodeStepUpRequired)
	_, err = h.RenewRecoveryCodes(t.Context(), p, "wrong "+goodPassword, codes[0], Client{})
	wantCode(t, err, CodeInvalidCredentials)
	renewed, err := h.RenewRecoveryCodes(t.Context(), p, goodPassword, codes[0], Client{})
	testkit.Must(t, err)
	testkit.Equal(t, "codes", len(renewed), recoveryCodes)
	testkit.Equal(t, "an earlier one", h.logInWith(codes[1]), CodeOTPInvalid)
	testkit.Equal(t, "a new one", h.logInWith(renewed[0]), "")
	_, left, err := h.SecondFactor(t.Context(), alice.ID)
	testkit.Must(t, err)
	testkit.Equal(t, "left", left, recoveryCodes-1)
	_, err = h.StepUp(t.Context(), p, renewed[1], Client{})
	testkit.Must(t, err)
	_, err = h.RenewRecoveryCodes(t.Context(), p, goodPassword, "", Client{})
	testkit.Must(t, err)
}

// TestDatabaseRefusesStepUps: of sessions that have ended.
func TestDatabaseRefusesStepUps(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	testkit.Must(t, h.RevokeSession(t.Context(), alice.ID, session.SessionID))
	if _, err := h.pool.Exec(t.Context(), `UPDATE sessions SET stepped_up_at = now() WHERE id = $1`, session.SessionID); err == nil {
		t.Error("an ended session was stepped up")
	}
	if _, err := h.pool.Exec(t.Context(), `INSERT INTO step_up_thresholds (user_id, currency, amount) VALUES ($1, 'USD', 1)`, uuid.UUID(alice.ID)); err == nil {
		t.Error("a threshold without a second factor")
	}
}
