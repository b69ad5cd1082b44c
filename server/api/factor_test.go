package api_test

import (
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
)

// newFactor adds a second factor for a user, and returns a code that confirms it.
func (h *fixture) newFactor(u *user) (auth.Principal, string) {
	h.t.Helper()
	principal, err := h.auth.Verify(h.t.Context(), u.access)
	testkit.Must(h.t, err)
	made, err := h.auth.AddSecondFactor(h.t.Context(), u.id, password, auth.Client{})
	testkit.Must(h.t, err)
	h.log.keepOut(made.Secret)
	return principal, h.otp(made.Secret)
}

// confirmedFactor gives a user a second factor. The session has a recent one then.
func (h *fixture) confirmedFactor(u *user) (auth.Principal, []string) {
	h.t.Helper()
	principal, otp := h.newFactor(u)
	codes, err := h.auth.ConfirmSecondFactor(h.t.Context(), principal, otp, auth.Client{})
	testkit.Must(h.t, err)
	h.log.keepOut(codes...)
	return principal, codes
}

// otp returns the code that an authenticator app shows now.
func (h *fixture) otp(secret string) string {
	h.t.Helper()
	code, err := totp.GenerateCode(secret, time.Now())
	testkit.Must(h.t, err)
	return code
}

// TestSecondFactorOverHTTP: a user with a second factor needs a code for what outlives the session.
func TestSecondFactorOverHTTP(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	logIn := func(otp any) *answer {
		body := fields{"login": "alice", "password": password}
		if otp != nil {
			body = body.with("otp", otp)
		}
		return h.do(ask{method: "POST", path: "/v1/auth/login", body: body})
	}
	h.post(alice, "/v1/auth/second-factor", fields{"password": "wrong " + password}).wantProblem(openapi.InvalidCredentials)
	h.post(alice, "/v1/auth/second-factor/confirm", fields{"otp": "123456"}).wantProblem(openapi.SecondFactorMissing)
	made := read[openapi.SecondFactorSecret](h.post(alice, "/v1/auth/second-factor", fields{"password": password}).want(200))
	h.log.keepOut(made.Secret)
	h.keep(logIn(nil)) // it is not asked for yet
	codes := read[openapi.RecoveryCodes](h.post(alice, "/v1/auth/second-factor/confirm", fields{"otp": h.otp(made.Secret)}).want(200)).RecoveryCodes
	h.log.keepOut(codes...)
	testkit.Equal(t, "recovery codes", len(codes), 10)
	h.post(alice, "/v1/auth/second-factor", fields{"password": password}).wantProblem(openapi.SecondFactorExists)

	logIn(nil).wantProblem(openapi.OtpRequired)
	logIn("000000").wantProblem(openapi.OtpInvalid)
	h.keep(logIn(codes[0]))
	logIn(codes[0]).wantProblem(openapi.OtpInvalid)
	h.endStepUps(alice)
	h.post(alice, "/v1/auth/keys", newKey("k")).wantProblem(openapi.StepUpRequired)
	h.post(alice, "/v1/auth/password", fields{"current_password": password, "new_password": password + " 2"}).wantProblem(openapi.StepUpRequired)
	h.createKey(alice, newKey("k").with("otp", codes[1]))
	state := read[openapi.SecondFactor](h.get(alice, "/v1/auth/second-factor").want(200))
	testkit.Equal(t, "state", state, openapi.SecondFactor{Enabled: true, RecoveryCodes: 8})
	h.post(alice, "/v1/auth/second-factor/remove", fields{"password": password, "otp": codes[2]}).want(204)
	h.keep(logIn(nil))
}

// keep keeps the tokens of an answer out of the log.
func (h *fixture) keep(a *answer) {
	h.t.Helper()
	tokens := read[openapi.Tokens](a.want(200))
	h.log.keepOut(tokens.AccessToken, tokens.RefreshToken)
}
