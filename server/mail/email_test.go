package mail

import (
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/auth"
)

// TestEmailByMail: the mails of a verified address and of a changed one go through the queue.
func TestEmailByMail(t *testing.T) {
	t.Parallel()
	h, m := newHarness(t), serveMail(t, false)
	h.worker(m.sender())
	tokens, user, err := h.auth.SignUp(t.Context(), auth.SignUpInput{Email: "ada@example.com", Handle: "ada", Name: "Ada", Password: userPassword})
	testkit.Must(t, err)
	principal, err := h.auth.Verify(t.Context(), tokens.AccessToken)
	testkit.Must(t, err)
	confirm := func(kind Kind, request func(id uuid.UUID) error) {
		t.Helper()
		task := NewTask(kind)
		task.User = uuid.UUID(user.ID)
		testkit.Must(t, request(task.ID))
		h.queue.Enqueue(task)
		_, err := h.auth.ConfirmEmail(t.Context(), principal, codeIn(t, testkit.Receive(t, "the mail", m.received)), auth.Client{})
		testkit.Must(t, err)
	}
	confirm(VerifyEmail, func(id uuid.UUID) error {
		_, err := h.auth.RequestEmailCode(t.Context(), user.ID, id)
		return err
	})
	confirm(ChangeEmail, func(id uuid.UUID) error {
		_, err := h.auth.ChangeEmail(t.Context(), principal, auth.ChangeEmailInput{Email: "new@example.com", Password: userPassword, Request: id})
		return err
	})
	notice := NewTask(EmailChanged)
	notice.User, notice.To, notice.Handle, notice.Address = uuid.UUID(user.ID), "ada@example.com", "ada", "192.0.2.7"
	h.queue.Enqueue(notice)
	testkit.Contains(t, testkit.Receive(t, "the notice", m.received), "To: <ada@example.com>", "192.0.2.7", "kizo freeze-me")
}
