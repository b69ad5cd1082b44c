package auth

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

// mailReset returns the code of a mail to choose another password, or "" if there is none.
func (h *harness) mailReset(login string) string {
	h.t.Helper()
	code, err := h.MailResetCode(h.t.Context(), uuid.Must(uuid.NewV7()), login, Client{Address: homeAddress})
	testkit.Must(h.t, err)
	return code.Code
}

func TestMailedReset(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, alice := h.signUp("alice")
	testkit.Equal(t, "without a verified address", h.mailReset("alice"), "")
	h.verify("alice")
	testkit.Equal(t, "unknown", h.mailReset("carol"), "")

	lost, issued := h.mailReset("alice"), h.mailReset("alice@example.com")
	if len(issued) != 9 || lost == issued {
		t.Errorf("codes %q and %q", lost, issued)
	}
	made := MailedCode{Code: issued, Handle: "alice"}
	if shown := fmt.Sprintf("%v %+v %s %#v", made, made, made, made); strings.Contains(shown, issued) {
		t.Errorf("formatting shows the code: %s", shown)
	}
	testkit.Equal(t, "earlier code", h.resetPassword("alice", lost, otherPassword), CodeResetCodeInvalid)
	testkit.Equal(t, "weak password", h.resetPassword("alice", issued, "short"), CodePasswordTooShort)
	testkit.Equal(t, "right code", h.resetPassword("alice@example.com", strings.ToLower(issued), otherPassword), "")
	testkit.Equal(t, "the same code", h.resetPassword("alice", issued, goodPassword), CodeResetCodeInvalid)
	testkit.Equal(t, "access", h.refusal(tokens.AccessToken), CodeSessionRevoked)
	testkit.Equal(t, "refresh", h.refreshRefusal(tokens.RefreshToken), CodeRefreshTokenInvalid)
	_, _, err := h.LogIn(t.Context(), "alice", otherPassword, "", Client{})
	testkit.Must(t, err)

	expired := h.mailReset("alice")
	h.clock.Advance(mailedCodeLife)
	testkit.Equal(t, "expired", h.resetPassword("alice", expired, goodPassword), CodeResetCodeInvalid)
	testkit.Must(t, h.Suspend(t.Context(), alice.ID, "test"))
	testkit.Equal(t, "suspended", h.mailReset("alice"), "")

	events, err := h.History(t.Context(), alice.ID, 100)
	testkit.Must(t, err)
	counts := map[SecurityEvent]int{}
	for _, e := range events {
		counts[e.Event]++
	}
	testkit.Equal(t, "requests", counts[EventPasswordResetRequested], 3)
	testkit.Equal(t, "changes", counts[EventPasswordChanged], 1)
}

// TestMailedCodeOfARequest: a repeated attempt to send the mail of a request replaces its code; one
// of an earlier request makes none, and neither does one whose code was used.
func TestMailedCodeOfARequest(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	h.verify("alice")
	mailed := func(request uuid.UUID) string {
		t.Helper()
		code, err := h.MailResetCode(t.Context(), request, "alice", Client{})
		testkit.Must(t, err)
		return code.Code
	}
	earlier, request := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	mailed(earlier)
	var first, code string
	for range 3 * maxMailedCodes { // repeated attempts do not count
		first, code = code, mailed(request)
	}
	testkit.Equal(t, "of an earlier request", mailed(earlier), "")
	testkit.Equal(t, "replaced code", h.resetPassword("alice", first, otherPassword), CodeResetCodeInvalid)
	testkit.Equal(t, "code", h.resetPassword("alice", code, otherPassword), "")
	testkit.Equal(t, "after its use", mailed(request), "")
}

// TestMailedResetAsksForTheSecondFactor: the mailbox alone neither changes the password nor ends a
// session of a user with a second factor.
func TestMailedResetAsksForTheSecondFactor(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, alice := h.signUp("alice")
	h.verify("alice")
	made, err := h.AddSecondFactor(t.Context(), alice.ID, goodPassword, Client{})
	testkit.Must(t, err)
	app := func() string {
		code, err := totp.GenerateCode(made.Secret, h.clock.Now())
		testkit.Must(t, err)
		return code
	}
	principal, err := h.Verify(t.Context(), tokens.AccessToken)
	testkit.Must(t, err)
	_, err = h.ConfirmSecondFactor(t.Context(), principal, app(), Client{})
	testkit.Must(t, err)
	h.clock.Advance(time.Minute)

	login := "alice"
	reset := func(code, otp string) problem.Code {
		t.Helper()
		return problem.CodeOf(h.ResetPassword(t.Context(), ResetPasswordInput{Login: login, Code: code, OTP: otp, New: otherPassword}))
	}
	code, guesses := h.mailReset("alice"), 0
	testkit.Equal(t, "no second factor", reset(code, ""), CodeOTPRequired)
	for range maxCodeFailures {
		guesses++
		h.clock.Advance(time.Minute)
		testkit.Equal(t, "wrong second factor", reset(code, "000000"), CodeOTPInvalid)
	}
	login = "alice@example.com" // which is throttled by itself
	testkit.Equal(t, "guessed too often", reset(code, app()), CodeResetCodeInvalid)
	testkit.Equal(t, "access", h.refusal(tokens.AccessToken), "")
	h.clock.Advance(10 * accountRule.period)
	testkit.Equal(t, "both", reset(h.mailReset("alice"), app()), "")
	t.Logf("%d guesses of the second factor with the right code: the code is void", guesses)
}

// TestMailedCodeIsGuessed: whatever addresses and spellings of the login an attacker has, few
// guesses at the codes of a user are compared.
func TestMailedCodeIsGuessed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	other := h.another() // a second process
	_, alice := h.signUp("alice")
	h.verify("alice")
	const attempts = 2000
	var (
		asked, refused, mails, guesses int
		counted                        int
	)
	for i := range attempts {
		if i%20 == 0 { // each from an address of its own
			asked++
			login := []string{"alice", "@Alice", "alice@example.com", "ALICE@EXAMPLE.COM"}[asked%4]
			if _, err := h.CountResetRequest(t.Context(), login, fmt.Sprintf("203.0.113.%d", asked)); err != nil {
				wantCode(t, err, CodeTooManyAttempts)
				refused++
			} else if h.mailReset(login) != "" {
				mails++
			}
		}
		s := h.Service
		if i%2 == 1 {
			s = other
		}
		err := s.ResetPassword(t.Context(), ResetPasswordInput{
			Login: []string{"alice", "alice@example.com"}[i%2], Code: fmt.Sprintf("%08d", i), New: otherPassword,
			Client: Client{Address: fmt.Sprintf("198.51.%d.%d", i/250, i%250)},
		})
		switch problem.CodeOf(err) {
		case CodeResetCodeInvalid:
			guesses++
		case CodeTooManyAttempts:
		default:
			t.Fatalf("attempt %d: %v", i, err)
		}
		h.clock.Advance(time.Second)
	}
	h.scan(`SELECT codes FROM mailed_codes WHERE user_id = $1`, alice.ID, &counted)
	if mails > maxMailedCodes || guesses > 60 || refused == 0 {
		t.Errorf("%d mails, %d guesses", mails, guesses)
	}
	_, _, err := h.LogIn(t.Context(), "alice", goodPassword, "", Client{})
	if problem.CodeOf(err) != "" && problem.CodeOf(err) != CodeTooManyAttempts {
		t.Errorf("the password has changed: %v", err)
	}
	t.Logf("%d guesses from %d addresses in %v: %d compared, %d of %d requests refused, %d codes mailed",
		attempts, attempts, attempts*time.Second, guesses, refused, asked, mails)
}

// TestMailedCodeCountsInParallel: of concurrent guesses of one code, five are compared.
func TestMailedCodeCountsInParallel(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	h.verify("alice")
	right := h.mailReset("alice")
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			tx, err := h.pool.Begin(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			ok, err := h.checkMailedCode(t.Context(), tx, alice.ID, codeForReset, fmt.Sprintf("%08d", i))
			if err != nil || ok {
				t.Errorf("guess %d: %t %v", i, ok, err)
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var failures int
	h.scan(`SELECT failures FROM mailed_codes WHERE user_id = $1`, alice.ID, &failures)
	testkit.Equal(t, "failures", failures, maxCodeFailures)
	testkit.Equal(t, "the right code", h.resetPassword("alice", right, otherPassword), CodeResetCodeInvalid)
	t.Logf("40 concurrent guesses: %d compared, then the right code is refused", failures)
}

// TestResetFlood: requests for many logins from one address, and for one login from many
// addresses, are refused with the same answers for known and unknown logins.
func TestResetFlood(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	h.verify("alice")
	flood := func(login, address func(i int) string) (accepted, refused int) {
		for i := range 500 {
			_, err := h.CountResetRequest(t.Context(), login(i), address(i))
			if code(t, err) == CodeTooManyAttempts {
				refused++
			} else {
				accepted++
			}
		}
		return accepted, refused
	}
	always := func(text string) func(int) string { return func(int) string { return text } }
	many := func(i int) string { return fmt.Sprintf("203.0.%d.%d", i/250, i%250) }
	known, _ := flood(always("alice"), many)
	unknown, _ := flood(always("carol"), many)
	testkit.Equal(t, "accepted for one login", fmt.Sprint(known, unknown), fmt.Sprint(codeLoginRule.free, codeLoginRule.free))
	fromOne, refused := flood(func(i int) string { return fmt.Sprint("user", i) }, always("192.0.2.99"))
	testkit.Equal(t, "accepted from one address", fromOne, codeAddressRule.free)
	t.Logf("500 requests each: one known login %d, one unknown login %d, one address %d accepted, %d refused", known, unknown, fromOne, refused)
}
