package auth

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

// factorOf gives a user a second factor, and returns its secret and its recovery codes.
func (h *harness) factorOf(user User, session Tokens) (secret string, codes []string) {
	h.t.Helper()
	made, err := h.AddSecondFactor(h.t.Context(), user.ID, goodPassword, Client{})
	testkit.Must(h.t, err)
	codes, err = h.ConfirmSecondFactor(h.t.Context(), Principal{UserID: user.ID, SessionID: session.SessionID, Handle: user.Handle}, h.otpAt(made.Secret, 0), Client{})
	testkit.Must(h.t, err)
	h.clock.Advance(StepUpLifetime) // the next codes are new ones, and the session needs one
	return made.Secret, codes
}

// otpAt returns the code that the app shows so much later. The library of the app is not that of
// the server.
func (h *harness) otpAt(secret string, later time.Duration) string {
	h.t.Helper()
	code, err := totp.GenerateCode(secret, h.clock.Now().Add(later))
	testkit.Must(h.t, err)
	return code
}

func (h *harness) logInWith(otp string) problem.Code {
	h.t.Helper()
	_, _, err := h.LogIn(h.t.Context(), "alice", goodPassword, otp, Client{})
	return code(h.t, err)
}

// TestLogInLocksTheUserFirst: a log-in that waits for a change of the same user, for example of the
// password, does not hold the second factor, which the change needs next.
func TestLogInLocksTheUserFirst(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	_, codes := h.factorOf(alice, session)
	change, err := h.pool.Begin(t.Context())
	testkit.Must(t, err)
	defer func() { _ = change.Rollback(context.Background()) }()
	var first, second string
	testkit.Must(t, change.QueryRow(t.Context(), `SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE`, alice.ID).Scan(&first))
	done := make(chan problem.Code, 1)
	go func() { done <- h.logInWith(codes[0]) }()
	testkit.Eventually(t, "a log-in that waits for a lock", func() bool {
		var waiting int
		h.scan(`SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> $1`, 0, &waiting)
		return waiting > 0
	})
	testkit.Must(t, change.QueryRow(t.Context(), `SELECT user_id FROM second_factors WHERE user_id = $1 FOR UPDATE NOWAIT`, alice.ID).Scan(&second))
	testkit.Must(t, change.Rollback(t.Context()))
	testkit.Equal(t, "log-in", testkit.Receive(t, "the end of the log-in", done), "")
}

// TestSecondFactorCodes: a code is accepted once, in its own step and the ones beside it, and none
// that is older than an accepted one.
func TestSecondFactorCodes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	secret, _ := h.factorOf(alice, session)
	step := func(n time.Duration) string { return h.otpAt(secret, n*factorStep) }
	testkit.Equal(t, "none", h.logInWith(""), CodeOTPRequired)
	testkit.Equal(t, "two steps ago", h.logInWith(step(-2)), CodeOTPInvalid)
	testkit.Equal(t, "in two steps", h.logInWith(step(2)), CodeOTPInvalid)
	testkit.Equal(t, "a step ago", h.logInWith(step(-1)), "")
	testkit.Equal(t, "the same again", h.logInWith(step(-1)), CodeOTPInvalid)
	testkit.Equal(t, "in a step", h.logInWith(step(1)[:3]+" "+step(1)[3:]), "")
	testkit.Equal(t, "now, which is older than the accepted one", h.logInWith(step(0)), CodeOTPInvalid)
	h.clock.Advance(2 * factorStep)
	_, _, err := h.LogIn(t.Context(), "alice", "wrong "+goodPassword, step(0), Client{})
	wantCode(t, err, CodeInvalidCredentials)
	testkit.Equal(t, "after a wrong password", h.logInWith(step(0)), "")

	// Another process with a newer pepper reads the secret, and stores it under the newer one.
	other := h.another(func(c *Config) { c.Peppers = testPeppers(t, "p2", "p1") })
	h.clock.Advance(2 * factorStep)
	_, _, err = other.LogIn(t.Context(), "alice", goodPassword, step(0), Client{})
	testkit.Must(t, err)
	var pepper string
	h.scan(`SELECT pepper_id FROM second_factors WHERE user_id = $1`, alice.ID, &pepper)
	testkit.Equal(t, "pepper", pepper, "p2")
}

// TestSecondFactorIsNeeded: for each change that outlives the session, and not for another user.
func TestSecondFactorIsNeeded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	_, bob := h.signUp("bob")
	elsewhere := h.logIn("alice")
	_, key := h.createKey(alice.ID, "before")
	_, codes := h.factorOf(alice, session)
	testkit.Equal(t, "another session", h.refusal(elsewhere.AccessToken), CodeSessionRevoked)
	next := 0
	for name, change := range map[string]func(otp string) error{
		"password": func(otp string) error {
			_, err := h.ChangePassword(t.Context(), alice.ID, ChangePasswordInput{SessionID: session.SessionID, Current: goodPassword, New: otherPassword, OTP: otp})
			if err == nil {
				_, err = h.ChangePassword(t.Context(), alice.ID, ChangePasswordInput{SessionID: session.SessionID, Current: otherPassword, New: goodPassword, OTP: codes[9]})
			}
			return err
		},
		"new key": func(otp string) error {
			_, _, err := h.CreateAPIKey(t.Context(), alice.ID, NewAPIKey{Name: "k", Scopes: ScopeRead, Password: goodPassword, OTP: otp})
			return err
		},
		"rotation": func(otp string) error {
			_, _, err := h.RotateAPIKey(t.Context(), alice.ID, key.ID, RotateAPIKeyInput{Password: goodPassword, OTP: otp})
			return err
		},
	} {
		wantCode(t, change(""), CodeStepUpRequired)
		wantCode(t, change("000000"), CodeOTPInvalid)
		if err := change(codes[next]); err != nil {
			t.Errorf("%s with a recovery code: %v", name, err)
		}
		next++
	}
	h.createKey(bob.ID, "his")
	_, err := h.AddSecondFactor(t.Context(), alice.ID, goodPassword, Client{})
	wantCode(t, err, CodeSecondFactorExists)
	p := Principal{UserID: alice.ID, SessionID: session.SessionID, Handle: "alice"}
	wantCode(t, h.RemoveSecondFactor(t.Context(), p, goodPassword, "", Client{}), CodeStepUpRequired)
	testkit.Must(t, h.RemoveSecondFactor(t.Context(), p, goodPassword, strings.ToLower(codes[next]), Client{}))
	wantCode(t, h.RemoveSecondFactor(t.Context(), p, goodPassword, "", Client{}), CodeSecondFactorMissing)
	testkit.Equal(t, "without one", h.logInWith(""), "")
	events, err := h.History(t.Context(), alice.ID, 100)
	testkit.Must(t, err)
	counts := map[SecurityEvent]int{}
	for _, e := range events {
		counts[e.Event]++
	}
	testkit.Equal(t, "events", fmt.Sprint(counts[EventSecondFactorAdded], counts[EventSecondFactorRemoved], counts[EventRecoveryCodeUsed]), "1 1 5")
}

// TestSecondFactorGuesses: a wrong code counts as a failed log-in, and a missing one does not.
func TestSecondFactorGuesses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	secret, _ := h.factorOf(alice, session)
	for range 3 * accountRule.free {
		testkit.Equal(t, "without a code", h.logInWith(""), CodeOTPRequired)
	}
	for range accountRule.free {
		testkit.Equal(t, "a guess", h.logInWith("000000"), CodeOTPInvalid)
	}
	h.logInWith("000000")
	testkit.Equal(t, "the right code after too many", h.logInWith(h.otpAt(secret, 0)), CodeTooManyAttempts)
}

// TestSecondFactorRaces: of concurrent log-ins with one code, one succeeds.
func TestSecondFactorRaces(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	secret, codes := h.factorOf(alice, session)
	for _, name := range []string{"code of the app", "recovery code"} {
		otp := codes[0]
		if name == "code of the app" {
			otp = h.otpAt(secret, 0)
		}
		got := make([]problem.Code, accountRule.free)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() { got[i] = h.logInWith(otp) })
		}
		all.Wait()
		done := 0
		for _, c := range got {
			if c == "" {
				done++
			}
		}
		testkit.Equal(t, name, done, 1)
		h.clock.Advance(20 * accountRule.period)
	}
}

// TestSecondFactorIsSealed: neither the secret nor a code is in the database, and a row that is
// copied to another user opens nothing.
func TestSecondFactorIsSealed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	secret, _ := h.factorOf(alice, session)
	bobs, bob := h.signUp("bob")
	h.factorOf(bob, bobs)
	h.asOwner(`UPDATE second_factors SET secret = (SELECT secret FROM second_factors f JOIN users u ON u.id = f.user_id WHERE handle = 'alice')`)
	_, _, err := h.LogIn(t.Context(), "bob", goodPassword, h.otpAt(secret, 0), Client{})
	if err == nil || problem.CodeOf(err) != "" || !strings.Contains(err.Error(), "unseal") {
		t.Errorf("log-in with the secret of another user: %v", err)
	}
	made := newSecondFactor([]byte("12345678901234567890"), "ada")
	testkit.Equal(t, "URI", made.URI, "otpauth://totp/Kizo:@ada?issuer=Kizo&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
	if shown := fmt.Sprintf("%v %+v %#v", made, made, made); strings.Contains(shown, made.Secret) {
		t.Error("formatting shows the secret")
	}
	// RFC 6238, appendix B: the time 59 has the code 94287082, of which the last six digits count.
	f := secondFactor{secret: []byte("12345678901234567890")}
	if step, right := f.stepOf("287082", time.Unix(59, 0)); !right || step != 1 {
		t.Errorf("step %d, right %v", step, right)
	}
}
