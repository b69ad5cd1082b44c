package auth

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

// emailUser is a user with a session.
type emailUser struct {
	*harness
	Principal
	user User
}

func (h *harness) emailUser(handle string) emailUser {
	h.t.Helper()
	tokens, user := h.signUp(handle)
	principal, err := h.Verify(h.t.Context(), tokens.AccessToken)
	testkit.Must(h.t, err)
	return emailUser{h, principal, user}
}

// verifyCode asks for a code for the own address, and returns it from the mail.
func (u emailUser) verifyCode() string {
	u.t.Helper()
	request := uuid.Must(uuid.NewV7())
	_, err := u.RequestEmailCode(u.t.Context(), u.UserID, request)
	testkit.Must(u.t, err)
	code, err := u.EmailCode(u.t.Context(), request, u.UserID, false)
	testkit.Must(u.t, err)
	return code.Code
}

// change asks for another address, and returns the mail.
func (u emailUser) change(address, password string) (MailedCode, problem.Code) {
	u.t.Helper()
	request := uuid.Must(uuid.NewV7())
	_, err := u.ChangeEmail(u.t.Context(), u.Principal, ChangeEmailInput{Email: address, Password: password, Request: request})
	if err != nil {
		return MailedCode{}, code(u.t, err)
	}
	made, err := u.EmailCode(u.t.Context(), request, u.UserID, true)
	testkit.Must(u.t, err)
	return made, ""
}

func (u emailUser) confirm(typed string) problem.Code {
	u.t.Helper()
	_, err := u.ConfirmEmail(u.t.Context(), u.Principal, typed, Client{})
	return code(u.t, err)
}

func (u emailUser) now() User {
	u.t.Helper()
	user, err := u.Me(u.t.Context(), u.UserID)
	testkit.Must(u.t, err)
	return user
}

func TestVerifyEmailByCode(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice, squatter := h.emailUser("alice"), h.emailUser("squatter")
	code := alice.verifyCode()
	testkit.Equal(t, "by another user", squatter.confirm(code), CodeEmailCodeInvalid)
	testkit.Equal(t, "for a reset", h.resetPassword("alice", code, otherPassword), CodeResetCodeInvalid)
	testkit.Equal(t, "verified", alice.now().EmailVerified, false)
	testkit.Equal(t, "right", alice.confirm(code), "")
	testkit.Equal(t, "verified", alice.now().EmailVerified, true)
	testkit.Equal(t, "again", alice.confirm(code), CodeEmailCodeInvalid)
	testkit.Equal(t, "a verified address gets no code", alice.verifyCode(), "")

	late := squatter.verifyCode()
	h.clock.Advance(mailedCodeLife)
	testkit.Equal(t, "expired", squatter.confirm(late), CodeEmailCodeInvalid)
	guessed := squatter.verifyCode()
	for i := range maxCodeFailures {
		testkit.Equal(t, "guess", squatter.confirm(fmt.Sprintf("%08d", i)), CodeEmailCodeInvalid)
	}
	testkit.Equal(t, "guessed too often", squatter.confirm(guessed), CodeEmailCodeInvalid)
}

// TestEmailChangeHijack: what a thief with a session, a mailbox, or another account tries.
func TestEmailChangeHijack(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice, eve := h.emailUser("alice"), h.emailUser("eve")
	h.verify("alice")
	attempts := 0
	fails := func(what string, got, want problem.Code) {
		t.Helper()
		attempts++
		testkit.Equal(t, what, got, want)
		testkit.Equal(t, "the address", alice.now().Email, "alice@example.com")
	}
	// A thief with the session, and without the password.
	_, refused := alice.change("thief@example.com", wrongPassword)
	fails("without the password", refused, CodeInvalidCredentials)
	// The change takes effect with the code alone, which only the new mailbox has.
	made, refused := alice.change("new@example.com", goodPassword)
	testkit.Equal(t, "change", refused, "")
	testkit.Equal(t, "mailed to", made.Email, "new@example.com")
	fails("by another user", eve.confirm(made.Code), CodeEmailCodeInvalid)
	fails("as a reset code", h.resetPassword("alice", made.Code, otherPassword), CodeResetCodeInvalid)
	fails("a guess", alice.confirm("00000000"), CodeEmailCodeInvalid)
	// A later request replaces the code of an earlier one.
	later, _ := alice.change("newer@example.com", goodPassword)
	fails("the code of an earlier request", alice.confirm(made.Code), CodeEmailCodeInvalid)
	// Another user's verified address cannot be taken.
	stolen, _ := eve.change("alice@example.com", goodPassword)
	fails("the address of another user", eve.confirm(stolen.Code), CodeEmailTaken)
	// The application's role cannot change or verify an address without a code.
	for _, sql := range []string{
		`UPDATE users SET email = 'thief@example.com' WHERE handle = 'alice'`,
		`UPDATE users SET email_verified_at = now() WHERE handle = 'eve'`,
	} {
		attempts++
		if _, err := h.pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("kizo_app may run %s", sql)
		}
	}
	var confirmed bool
	testkit.Must(t, h.pool.QueryRow(t.Context(), sqlConfirmEmail, alice.UserID, codeToChange, make([]byte, 32), h.clock.Now()).Scan(&confirmed))
	attempts++
	testkit.Equal(t, "a made-up hash", confirmed, false)

	// A reset code that was mailed to the earlier address is void after the change.
	reset := h.mailReset("alice")
	testkit.Equal(t, "the change", alice.confirm(later.Code), "")
	testkit.Equal(t, "address", alice.now().Email, "newer@example.com")
	attempts++
	testkit.Equal(t, "the reset code of the earlier mailbox", h.resetPassword("alice", reset, otherPassword), CodeResetCodeInvalid)
	attempts++
	testkit.Equal(t, "a reset by the earlier address", h.mailReset("alice@example.com"), "")
	for _, login := range []string{"newer@example.com", "alice"} {
		_, _, err := h.LogIn(t.Context(), login, goodPassword, "", Client{})
		testkit.Must(t, err)
	}
	t.Logf("%d attempts to take over an address or an account by it: none has succeeded", attempts)
}
