package api_test

import (
	"fmt"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/mail"
)

// TestMailResetCode: the answer for every login is the same, and so is the task; only a worker
// looks for the user.
func TestMailResetCode(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.signUp("alice")
	const path = "/v1/auth/password/reset/mail"
	for _, login := range []string{"alice", "alice@example.com", "carol", "carol@example.com"} {
		h.do(ask{method: "POST", path: path, body: fields{"login": login}}).want(204)
		task := testkit.Receive(t, "a task", h.mails)
		testkit.Equal(t, "task", fmt.Sprint(task.Kind, " ", task.Login), fmt.Sprint(mail.PasswordReset, " ", login))
	}
	for range 4 {
		h.do(ask{method: "POST", path: path, body: fields{"login": "alice"}}).want(204)
	}
	h.do(ask{method: "POST", path: path, body: fields{"login": "@ALICE"}}).wantProblem(openapi.TooManyAttempts)

	other := newFixture(t, func(o *options) { o.noMail = true })
	other.do(ask{method: "POST", path: path, body: fields{"login": "alice"}}).wantProblem(openapi.NoMail)
}

// emailCode asks for another address of a user, and returns the code that is mailed there.
func (h *fixture) emailCode(u *user) string {
	h.t.Helper()
	h.post(u, "/v1/auth/email", fields{"email": "new_" + u.handle + "@example.com", "password": password}).want(204)
	for {
		task := testkit.Receive(h.t, "the task", h.mails)
		if task.Kind != mail.ChangeEmail {
			continue
		}
		made, err := h.auth.EmailCode(h.t.Context(), task.ID, auth.UserID(task.User), true)
		testkit.Must(h.t, err)
		if made.Code != "" { // not a task of an earlier request
			h.log.keepOut(made.Code)
			return made.Code
		}
	}
}

func (h *fixture) forgetCodes(u *user) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), `DELETE FROM mailed_codes WHERE user_id = $1`, u.id)
	testkit.Must(h.t, err)
}
