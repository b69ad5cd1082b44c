package auth

import (
	"fmt"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

func (h *harness) signUpWith(email, handle, password string) (User, error) {
	h.t.Helper()
	_, user, err := h.SignUp(h.t.Context(), SignUpInput{Email: email, Handle: handle, Name: "N", Password: password, Client: Client{Address: homeAddress}})
	return user, err
}

const otherPassword = "a squatter has this one"

// TestUnverifiedAddressHasNoOwner: a user who signs up first with the address of another user
// neither keeps that user from signing up nor is found by the address. Its owner is found after
// verifying it.
func TestUnverifiedAddressHasNoOwner(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, asker := h.signUp("asker")
	squatter, err := h.signUpWith("ada@example.com", "squatter", otherPassword)
	testkit.Must(t, err)
	ada, err := h.signUpWith("ADA@example.com", "ada", goodPassword)
	testkit.Must(t, err)
	find := func(want UserID, code problem.Code) {
		t.Helper()
		for what, find := range map[string]func() (UserRef, error){
			"FindPayee": func() (UserRef, error) { return h.FindPayee(t.Context(), asker.ID, "ada@example.com") },
			"FindUser":  func() (UserRef, error) { return h.FindUser(t.Context(), "ada@example.com") },
		} {
			ref, err := find()
			wantCode(t, err, code)
			testkit.Equal(t, what, ref.ID, want)
		}
	}
	find(UserID{}, CodeUserNotFound)
	h.verify("ada")
	find(ada.ID, "")
	_, err = h.owner().VerifyEmail(t.Context(), "squatter", "test")
	wantCode(t, err, CodeEmailTaken)
	find(ada.ID, "")
	// A third user does not learn that the address is in use.
	third, err := h.signUpWith("ada@example.com", "third", "the third of the three")
	testkit.Must(t, err)
	testkit.Equal(t, "verified", squatter.EmailVerified || third.EmailVerified, false)
}

// TestLogInBySharedAddress: several users have signed up with one address. Each signs in by it with
// their own password, to their own account; a wrong password fails in the same way for all of them.
func TestLogInBySharedAddress(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	enters := func(s *Service, password, want string) {
		t.Helper()
		_, user, err := s.LogIn(t.Context(), "ada@example.com", password, "", Client{})
		if want == "" {
			wantCode(t, err, CodeInvalidCredentials)
			return
		}
		testkit.Must(t, err)
		testkit.Equal(t, "user", user.Handle, want)
	}
	for handle, password := range map[string]string{"squatter": otherPassword, "ada": goodPassword, "third": "the third of the three"} {
		_, err := h.signUpWith("ada@example.com", handle, password)
		testkit.Must(t, err)
	}
	enters(h.Service, goodPassword, "ada")
	enters(h.Service, otherPassword, "squatter")
	enters(h.Service, wrongPassword, "")
	// Also with new parameters, another pepper, and a salt that does not depend on the address.
	newer := h.another(func(c *Config) {
		c.Params.Time, c.Peppers = 2, testPeppers(t, "p2", "p1")
	})
	enters(newer, goodPassword, "ada")
	enters(newer, "the third of the three", "third")
	enters(newer, otherPassword, "squatter")
	enters(newer, goodPassword, "ada")

	// If two users of an unverified address have the same password, neither gets into the account
	// of the other.
	_, err := h.signUpWith("ada@example.com", "twin", goodPassword)
	testkit.Must(t, err)
	h.clock.Advance(24 * time.Hour)
	enters(newer, goodPassword, "") // the hash of twin has another form than that of ada
	h.wantTry("twin", goodPassword, "", "")
	h.verify("ada")
	enters(newer, goodPassword, "ada")
}

// TestOldSaltsAreReplaced: a user whose salt does not depend on the address yet signs in by it, and
// has the current kind of salt afterwards.
func TestOldSaltsAreReplaced(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	p := h.keyring().passwords
	ticket, err := h.hashQueue.enter()
	testkit.Must(t, err)
	old := phc{params: p.params, salt: randomBytes(saltBytes)}
	old.digest, err = ticket.hash(t.Context(), old.job(p.peppers.current, goodPassword, digestBytes))
	testkit.Must(t, err)
	ticket.leave()
	_, err = h.pool.Exec(t.Context(), `UPDATE users SET password_hash = $2 WHERE id = $1`, alice.ID, old.String())
	testkit.Must(t, err)
	h.wantTry("alice@example.com", wrongPassword, "", CodeInvalidCredentials)
	h.logIn("alice@example.com")
	var stored string
	h.scan(`SELECT password_hash FROM users WHERE id = $1`, alice.ID, &stored)
	testkit.Equal(t, "salt", stored[:len(p.prefix("alice@example.com"))], p.prefix("alice@example.com"))
	h.logIn("alice@example.com")
}

// TestKnownAddressOfSharedEmail: a user who signs up with the e-mail address of another user does
// not get that user's limit for a known network address, from which passwords of the other user
// could be guessed.
func TestKnownAddressOfSharedEmail(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, err := h.signUpWith("ada@example.com", "squatter", otherPassword)
	testkit.Must(t, err)
	_, _, err = h.SignUp(t.Context(), SignUpInput{
		Email: "ada@example.com", Handle: "ada", Name: "Ada", Password: goodPassword, Client: Client{Address: "198.51.100.1"}})
	testkit.Must(t, err)
	h.block("ada@example.com")
	h.wantTry("ada@example.com", goodPassword, homeAddress, CodeInvalidCredentials) // the address is known for the squatter only
	h.wantTry("ada@example.com", otherPassword, homeAddress, "")
	h.wantTry("ada@example.com", goodPassword, "198.51.100.1", "")
}

// TestLookUpsByEmailAreLimited: look-ups by e-mail address have a limit of their own, which
// survives a restart. Users who do not want to be found get the same answer as unknown addresses.
// Look-ups by handle are not limited.
func TestLookUpsByEmailAreLimited(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	_, bob := h.signUp("bob")
	h.signUp("carol")
	h.verify("alice")
	h.verify("bob")
	h.verify("carol")
	no := false
	_, err := h.UpdateProfile(t.Context(), bob.ID, ProfileUpdate{FindableByEmail: &no})
	testkit.Must(t, err)
	find := func(s *Service, who string) problem.Code {
		t.Helper()
		_, err := s.FindPayee(t.Context(), alice.ID, who)
		return code(t, err)
	}
	testkit.Equal(t, "unwilling", find(h.Service, "bob@example.com"), CodeUserNotFound)
	testkit.Equal(t, "self", find(h.Service, "alice@example.com"), "")
	for range 100 {
		testkit.Equal(t, "found before", find(h.Service, "carol@example.com"), "")
	}
	for i := range lookUpRule.free - 3 {
		testkit.Equal(t, "unknown", find(h.another(), fmt.Sprintf("u%d@example.com", i)), CodeUserNotFound)
	}
	for _, who := range []string{"bob@example.com", "u1@example.com"} {
		testkit.Equal(t, "one too many", find(h.Service, who), CodeTooManyLookUps)
		testkit.Equal(t, "one too many, after a restart", find(h.another(), who), CodeTooManyLookUps)
	}
	testkit.Equal(t, "a handle", find(h.Service, "@bob"), "")
	testkit.Equal(t, "found before", find(h.Service, "carol@example.com"), "")
	h.clock.Advance(lookUpRule.period + time.Second)
	testkit.Equal(t, "a minute later", find(h.Service, "u1@example.com"), CodeUserNotFound)
	testkit.Equal(t, "throttled", int(counter(t, h.config.Metrics.throttled.WithLabelValues(scopeLookUp))), 4)
}
