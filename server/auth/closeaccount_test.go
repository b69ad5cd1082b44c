package auth

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

// closeOwner does what the ledger does for a user without wallets.
func closeOwner(id UserID) func(context.Context, pgx.Tx) error {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO account_owners (owner, status) VALUES ($1, 'frozen')`, id)
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE account_owners SET closed_at = now() WHERE owner = $1`, id)
		}
		return err
	}
}

// TestCloseAccount: closing needs the password and the second factor, ends every access, and leaves
// nothing that names the person. The handle stays reserved, the address does not.
func TestCloseAccount(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	h.verify("alice")
	_, bob := h.signUp("bob")
	secret, _ := h.createKey(alice.ID, "script")
	factor, codes := h.factorOf(alice, session)
	other := h.another()
	p := h.principal(h.Service, session)
	refuse := &problem.Error{Code: "account_not_empty"}
	closeWith := func(password, otp string, wallets func(context.Context, pgx.Tx) error) (string, error) {
		return h.CloseAccount(t.Context(), p, CloseAccountInput{Password: password, OTP: otp}, wallets)
	}
	_, err := closeWith(otherPassword, codes[0], closeOwner(alice.ID))
	wantCode(t, err, CodeInvalidCredentials)
	_, err = closeWith(goodPassword, "", closeOwner(alice.ID))
	wantCode(t, err, CodeStepUpRequired)
	_, err = closeWith(goodPassword, "000000", closeOwner(alice.ID))
	wantCode(t, err, CodeOTPInvalid)
	_, err = closeWith(goodPassword, codes[0], func(context.Context, pgx.Tx) error { return refuse })
	wantCode(t, err, refuse.Code)
	testkit.Equal(t, "the session after a refusal", h.refusal(session.AccessToken), "")
	testkit.Equal(t, "the key after a refusal", h.keyRefusal(secret), "")

	notify, err := closeWith(goodPassword, h.otpAt(factor, 0), closeOwner(alice.ID))
	testkit.Must(t, err)
	testkit.Equal(t, "address to notify", notify, "alice@example.com")
	for _, s := range []*Service{h.Service, other} {
		_, err := s.Verify(t.Context(), session.AccessToken)
		wantCode(t, err, CodeSessionRevoked)
		_, err = s.VerifyAPIKey(t.Context(), secret)
		wantCode(t, err, CodeKeyRevoked)
		_, _, err = s.Refresh(t.Context(), session.RefreshToken, Client{})
		wantCode(t, err, CodeRefreshTokenInvalid)
	}
	failures := h.countEvents(alice.ID, EventSignInFailed)
	for _, who := range []string{"alice", "alice@example.com", alice.ID.String() + "@closed.invalid"} {
		_, _, err := h.LogIn(t.Context(), who, goodPassword, codes[0], Client{})
		wantCode(t, err, CodeInvalidCredentials)
	}
	testkit.Equal(t, "failures that are recorded for a closed user", h.countEvents(alice.ID, EventSignInFailed), failures)
	_, err = h.owner().IssueResetCode(t.Context(), "alice", time.Hour, "test")
	wantCode(t, err, CodeUserNotFound)
	mailed, err := h.MailResetCode(t.Context(), uuid.Must(uuid.NewV7()), "alice", Client{})
	testkit.Must(t, err)
	testkit.Equal(t, "mailed code", mailed, MailedCode{})

	found, err := h.FindPayees(t.Context(), bob.ID, []string{"@alice", "alice@example.com"})
	testkit.Must(t, err)
	testkit.Equal(t, "by handle", found[0].Closed && errors.Is(found[0].Err, CodeUserNotFound), true)
	testkit.Equal(t, "by address", !found[1].Closed && errors.Is(found[1].Err, CodeUserNotFound), true)
	_, err = h.signUpWith("eve@example.com", "alice", goodPassword)
	wantCode(t, err, CodeHandleTaken)
	_, err = h.signUpWith("alice@example.com", "alice2", goodPassword)
	testkit.Must(t, err)
	h.verify("alice2")

	var row string
	h.scan(`SELECT to_jsonb(u)::text FROM users u WHERE id = $1`, alice.ID, &row)
	if strings.Contains(row, "example.com") || strings.Contains(row, "Name of") || !strings.Contains(row, `"closed"`) {
		t.Errorf("what is left of the user: %s", row)
	}
	for _, table := range []string{"second_factors", "recovery_codes", "known_addresses", "known_devices", "mailed_codes", "reset_codes", "step_up_thresholds", "notices"} {
		var n int
		h.scan(`SELECT count(*) FROM `+table+` WHERE user_id = $1`, alice.ID, &n)
		testkit.Equal(t, table, n, 0)
	}
	testkit.Equal(t, "event", h.countEvents(alice.ID, EventAccountClosed), 1)
}

// TestClosedIsFinal: no operator and no statement brings a closed user back, and none is closed
// with open wallets. An operator is not closed.
func TestClosedIsFinal(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	_, bob := h.signUp("bob")
	operator, olga := h.signUp("olga")
	testkit.Must(t, h.owner().Grant(t.Context(), "olga", RoleOperator, "test"))
	_, err := h.CloseAccount(t.Context(), h.principal(h.Service, operator), CloseAccountInput{Password: goodPassword}, closeOwner(olga.ID))
	wantCode(t, err, CodeOwnAccount)
	_, err = h.CloseAccount(t.Context(), h.principal(h.Service, session), CloseAccountInput{Password: goodPassword}, closeOwner(alice.ID))
	testkit.Must(t, err)

	var closed bool
	h.scan(`SELECT close_user($1, now())`, bob.ID, &closed)
	testkit.Equal(t, "a user with open wallets", closed, false)
	wantCode(t, h.Reinstate(t.Context(), alice.ID, "test"), CodeUserNotFound)
	wantCode(t, h.Suspend(t.Context(), alice.ID, "test"), CodeUserNotFound)
	wantCode(t, h.owner().Grant(t.Context(), "alice", RoleOperator, "test"), CodeUserNotFound)
	for _, sql := range []string{`UPDATE users SET status = 'active' WHERE id = $1`, `UPDATE users SET name = 'x' WHERE id = $1`, `UPDATE users SET handle = 'x' || handle WHERE id = $1`} {
		_, err := h.owner().pool.Exec(t.Context(), sql, alice.ID)
		if got, ok := errors.AsType[*pgconn.PgError](err); !ok || got.Code != "23000" {
			t.Errorf("%s: %v, want a refusal", sql, err)
		}
	}
}
