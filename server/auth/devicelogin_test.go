package auth

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

var (
	deviceClient = Client{UserAgent: "kizo/1.0 (linux)", Address: "203.0.113.50"}
	laptop       = Client{UserAgent: "kizo/1.0", Address: "192.0.2.7"}
)

func (h *harness) beginDevice() DeviceLogin {
	h.t.Helper()
	d, err := h.BeginDeviceLogin(h.t.Context(), deviceClient)
	testkit.Must(h.t, err)
	return d
}

// decide approves or denies a request as a user.
func (h *harness) decide(user User, sessionID uuid.UUID, userCode string, approve bool) {
	h.t.Helper()
	found, err := h.FindDeviceLogin(h.t.Context(), user.ID, userCode, laptop)
	testkit.Must(h.t, err)
	testkit.Must(h.t, h.DecideDeviceLogin(h.t.Context(), Principal{UserID: user.ID, SessionID: sessionID, Handle: user.Handle},
		DeviceDecision{ID: found.ID, UserCode: userCode, Approve: approve, Client: laptop}))
}

// poll returns the code with which a poll is refused, or "".
func (h *harness) poll(s *Service, d DeviceLogin) (Tokens, problem.Code) {
	h.t.Helper()
	tokens, _, err := s.FinishDeviceLogin(h.t.Context(), d.DeviceCode, deviceClient)
	return tokens, code(h.t, err)
}

func (h *harness) wantPoll(d DeviceLogin, want problem.Code) Tokens {
	h.t.Helper()
	tokens, got := h.poll(h.Service, d)
	testkit.Equal(h.t, "poll", got, want)
	return tokens
}

// TestDeviceLogin: a request that is approved opens one session, of the approver and with the
// device's client and address; both sides are recorded.
func TestDeviceLogin(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, alice := h.signUp("alice")
	d := h.beginDevice()
	testkit.Equal(t, "length of the user code", len(d.UserCode), userCodeLength+1)
	h.wantPoll(d, CodeAuthorizationPending)
	found, err := h.FindDeviceLogin(t.Context(), alice.ID, " "+d.UserCode[:4]+d.UserCode[5:], laptop)
	testkit.Must(t, err)
	testkit.Equal(t, "client", found.Client, deviceClient.UserAgent)
	testkit.Equal(t, "address", found.Address, deviceClient.Address)
	testkit.Equal(t, "same address", found.SameAddress, false)
	testkit.Equal(t, "requested", found.RequestedAt, h.now())
	testkit.Equal(t, "expires", found.ExpiresAt, h.now().Add(10*time.Minute))
	h.decide(alice, tokens.SessionID, d.UserCode, true)
	opened := h.wantPoll(d, "")
	p, err := h.Verify(t.Context(), opened.AccessToken)
	testkit.Must(t, err)
	testkit.Equal(t, "user", p.UserID, alice.ID)
	h.wantPoll(d, CodeExpiredToken) // used
	sessions, err := h.Sessions(t.Context(), alice.ID)
	testkit.Must(t, err)
	testkit.Equal(t, "sessions", len(sessions), 2)
	testkit.Equal(t, "address", sessions[0].Address, deviceClient.Address)
	testkit.Equal(t, "new devices", h.countEvents(alice.ID, EventNewDevice), 1)
	var detail, address string
	h.scan(`SELECT detail, address FROM security_events WHERE event = 'device_approved' AND user_id = $1`, alice.ID, &detail, &address)
	testkit.Equal(t, "detail", detail, "for kizo/1.0 (linux) at 203.0.113.50")
	testkit.Equal(t, "approver's address", address, laptop.Address)
	if opened.DeviceToken == "" {
		t.Error("the device got no device token")
	}
}

func TestDeviceLoginIsDeniedOrExpires(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, alice := h.signUp("alice")
	denied, late := h.beginDevice(), h.beginDevice()
	h.decide(alice, tokens.SessionID, denied.UserCode, false)
	h.wantPoll(denied, CodeAccessDenied)
	testkit.Equal(t, "denied", h.countEvents(alice.ID, EventDeviceDenied), 1)
	h.decide(alice, tokens.SessionID, late.UserCode, true)
	h.clock.Advance(deviceLoginLife)
	h.wantPoll(late, CodeExpiredToken)
	h.wantPoll(DeviceLogin{DeviceCode: "kizo_dc_x"}, CodeExpiredToken)
	_, err := h.FindDeviceLogin(t.Context(), alice.ID, h.beginDevice().UserCode, laptop)
	testkit.Must(t, err)
	_, err = h.FindDeviceLogin(t.Context(), alice.ID, late.UserCode, laptop)
	wantCode(t, err, CodeUserCodeInvalid)
	h.clock.Advance(time.Second)
	_, err = h.Prune(t.Context(), 1000)
	testkit.Must(t, err)
	var left int
	h.scan(`SELECT count(*) FROM device_logins WHERE expires_at < $1`, h.now(), &left)
	testkit.Equal(t, "expired requests after pruning", left, 0)
}

// TestPollsTooOftenSlowDown: RFC 8628, 3.5: the interval grows by five seconds with each slow_down.
func TestPollsTooOftenSlowDown(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, alice := h.signUp("alice")
	d := h.beginDevice()
	h.wantPoll(d, CodeAuthorizationPending)
	h.clock.Advance(5 * time.Second)
	h.wantPoll(d, CodeAuthorizationPending)
	h.clock.Advance(3 * time.Second)
	h.wantPoll(d, CodeSlowDown)
	h.clock.Advance(5 * time.Second)
	h.wantPoll(d, CodeSlowDown) // ten are needed now
	h.clock.Advance(15 * time.Second)
	h.wantPoll(d, CodeAuthorizationPending)
	h.decide(alice, tokens.SessionID, d.UserCode, true)
	h.wantPoll(d, "")
}

// TestOneSessionOfManyDevicePolls: of concurrent polls in two processes, one opens the session.
func TestOneSessionOfManyDevicePolls(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, alice := h.signUp("alice")
	processes := []*Service{h.Service, h.another()}
	const races, polls = 10, 20
	var opened, refused int
	for range races {
		d := h.beginDevice()
		h.decide(alice, tokens.SessionID, d.UserCode, true)
		var (
			group sync.WaitGroup
			mu    sync.Mutex
			now   int
		)
		for i := range polls {
			group.Go(func() {
				_, _, err := processes[i%2].FinishDeviceLogin(t.Context(), d.DeviceCode, deviceClient)
				mu.Lock()
				defer mu.Unlock()
				switch problem.CodeOf(err) {
				case "":
					testkit.Must(t, err)
					now++
				case CodeExpiredToken:
					refused++
				default:
					t.Errorf("poll: %v", err)
				}
			})
		}
		group.Wait()
		testkit.Equal(t, "sessions of one approval", now, 1)
		opened += now
	}
	var rows int
	h.scan(`SELECT count(*) FROM sessions WHERE user_id = $1`, alice.ID, &rows)
	testkit.Equal(t, "sessions", rows, 1+opened)
	t.Logf("%d concurrent polls of %d approvals in two processes: %d sessions, %d refused", races*polls, races, opened, refused)
}

// TestOneDecisionOfMany: of concurrent approvals and denials by two users, one counts.
func TestOneDecisionOfMany(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	aliceTokens, alice := h.signUp("alice")
	bobTokens, bob := h.signUp("bob")
	for range 5 {
		h.clock.Advance(6 * time.Hour) // the losers have typed a wrong code
		d := h.beginDevice()
		found, err := h.FindDeviceLogin(t.Context(), alice.ID, d.UserCode, laptop)
		testkit.Must(t, err)
		var (
			group sync.WaitGroup
			mu    sync.Mutex
			won   int
		)
		for i, p := range []Principal{{UserID: alice.ID, SessionID: aliceTokens.SessionID}, {UserID: bob.ID, SessionID: bobTokens.SessionID}} {
			for _, approve := range []bool{true, false} {
				group.Go(func() {
					err := h.DecideDeviceLogin(t.Context(), p, DeviceDecision{ID: found.ID, UserCode: d.UserCode, Approve: approve, Client: Client{Address: fmt.Sprintf("198.51.100.%d", i)}})
					if c := problem.CodeOf(err); err != nil && c != CodeUserCodeInvalid {
						t.Errorf("decide: %v", err)
					}
					if err == nil {
						mu.Lock()
						won++
						mu.Unlock()
					}
				})
			}
		}
		group.Wait()
		testkit.Equal(t, "decisions", won, 1)
	}
}

// TestApprovalIsVoid: what ends the approver's access before the device asks ends the approval.
func TestApprovalIsVoid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		between func(h *harness, alice User, approver uuid.UUID) error
		want    problem.Code
	}{
		"logged out": {func(h *harness, _ User, id uuid.UUID) error { return h.LogOut(t.Context(), id) }, ""},
		"revoked":    {func(h *harness, a User, id uuid.UUID) error { return h.RevokeSession(t.Context(), a.ID, id) }, CodeAccessDenied},
		"suspended":  {func(h *harness, a User, _ uuid.UUID) error { return h.Suspend(t.Context(), a.ID, "test") }, CodeAccessDenied},
		"password changed": {func(h *harness, a User, id uuid.UUID) error {
			_, err := h.ChangePassword(t.Context(), a.ID, ChangePasswordInput{SessionID: id, Current: goodPassword, New: goodPassword + " 2"})
			return err
		}, CodeAccessDenied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			tokens, alice := h.signUp("alice")
			d := h.beginDevice()
			h.decide(alice, tokens.SessionID, d.UserCode, true)
			testkit.Must(t, c.between(h, alice, tokens.SessionID))
			h.wantPoll(d, c.want)
		})
	}
}

// TestGuessesOfDeviceCodesAreCounted: an attacker with many accounts at one address, or with one
// account at many addresses, has few guesses; the numbers are printed.
func TestGuessesOfDeviceCodesAreCounted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	d := h.beginDevice()
	guess := func(user User, address string) problem.Code {
		code := newCode(userCodeLength, userCodeGroup)
		_, err := h.FindDeviceLogin(t.Context(), user.ID, code, Client{Address: address})
		return problem.CodeOf(err)
	}
	_, mallory := h.signUp("mallory")
	made := map[problem.Code]int{}
	for i := range 500 {
		made[guess(mallory, fmt.Sprintf("198.51.%d.%d", 100+i/250, i%250))]++
	}
	testkit.Equal(t, "compared guesses of one user at 500 addresses", made[CodeUserCodeInvalid], accountRule.free)
	testkit.Equal(t, "refused", made[CodeTooManyAttempts], 500-accountRule.free)
	t.Logf("one user, 500 addresses: %d of 500 guesses compared", made[CodeUserCodeInvalid])

	made = map[problem.Code]int{}
	for i := range 8 {
		_, user := h.signUp(fmt.Sprintf("mallory%d", i))
		for range accountRule.free {
			made[guess(user, "203.0.113.9")]++
		}
	}
	testkit.Equal(t, "compared guesses of eight users at one address", made[CodeUserCodeInvalid], addressRule.free)
	t.Logf("8 users, one address: %d of 40 guesses compared", made[CodeUserCodeInvalid])

	day := 0
	for range 24 * 60 {
		h.clock.Advance(time.Minute)
		if guess(mallory, "198.51.100.200") == CodeUserCodeInvalid {
			day++
		}
	}
	t.Logf("one user, one guess a minute for a day: %d compared, of 2^40 codes that are valid for ten minutes", day)
	if day > 120 {
		t.Errorf("%d guesses a day", day)
	}
	h.clock.Advance(24 * time.Hour)
	wantCode(t, errOf(h.FindDeviceLogin(t.Context(), mallory.ID, d.UserCode, laptop)), CodeUserCodeInvalid) // expired long ago
}

func errOf[T any](_ T, err error) error { return err }

// TestDeviceCodePhishingBounds is an attacker who makes a victim type a code. What the victim
// sees names the attacker's address; an approval is for that one request; it needs the victim's
// second factor; and neither a look-up nor an id without its code is enough.
func TestDeviceCodePhishingBounds(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, alice := h.signUp("alice")
	p := Principal{UserID: alice.ID, SessionID: tokens.SessionID, Handle: "alice"}
	secret, _ := h.factorOf(alice, tokens)
	attempts, refused := 0, 0
	decide := func(d DeviceDecision, want problem.Code) {
		t.Helper()
		d.Approve, d.Client = true, laptop
		attempts++
		err := h.DecideDeviceLogin(t.Context(), p, d)
		if problem.CodeOf(err) != "" {
			refused++
		}
		wantCode(t, err, want)
	}
	one, two := h.beginDevice(), h.beginDevice()
	found, err := h.FindDeviceLogin(t.Context(), alice.ID, one.UserCode, laptop)
	testkit.Must(t, err)
	testkit.Equal(t, "needs a code", found.NeedsOTP, true)
	testkit.Equal(t, "same address", found.SameAddress, false)
	h.wantPoll(one, CodeAuthorizationPending) // looked up is not approved
	otp := func() string {
		h.clock.Advance(factorStep)
		return h.otpAt(secret, 0)
	}
	decide(DeviceDecision{ID: found.ID, UserCode: one.UserCode}, CodeOTPRequired)
	decide(DeviceDecision{ID: found.ID, UserCode: one.UserCode, OTP: "000000"}, CodeOTPInvalid)
	decide(DeviceDecision{ID: found.ID, UserCode: two.UserCode, OTP: otp()}, CodeUserCodeInvalid)
	decide(DeviceDecision{ID: found.ID, UserCode: "", OTP: otp()}, CodeUserCodeInvalid)
	decide(DeviceDecision{ID: uuid.New(), UserCode: one.UserCode, OTP: otp()}, CodeUserCodeInvalid)
	h.wantPoll(one, CodeAuthorizationPending)
	decide(DeviceDecision{ID: found.ID, UserCode: one.UserCode, OTP: otp()}, "")
	h.wantPoll(two, CodeAuthorizationPending)
	h.wantPoll(one, "")
	t.Logf("%d approvals tried, %d refused; one session", attempts, refused)
	_, err = h.StepUp(t.Context(), p, otp(), Client{})
	testkit.Must(t, err)
	found, err = h.FindDeviceLogin(t.Context(), alice.ID, two.UserCode, laptop)
	testkit.Must(t, err)
	decide(DeviceDecision{ID: found.ID, UserCode: two.UserCode}, "") // within the step-up
	h.wantPoll(two, "")
}

// TestOpenDeviceLoginsAreBounded: by address, also when they race, and in total.
func TestOpenDeviceLoginsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		made  int
	)
	for range 3 * maxFromOneAddress {
		group.Go(func() {
			_, err := h.BeginDeviceLogin(t.Context(), deviceClient)
			if c := problem.CodeOf(err); err != nil && c != CodeTooManyDeviceLogins {
				t.Errorf("begin: %v", err)
			}
			if err == nil {
				mu.Lock()
				made++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	testkit.Equal(t, "requests of one address", made, maxFromOneAddress)
	_, err := h.BeginDeviceLogin(t.Context(), Client{Address: "203.0.113.51"})
	testkit.Must(t, err)
	_, err = h.pool.Exec(t.Context(), `
INSERT INTO device_logins (id, device_code_hash, user_code_hash, client, address, created_at, expires_at, poll_seconds)
SELECT gen_random_uuid(), sha256(n::text::bytea), sha256(n::text::bytea), '', '', $1::timestamptz, $1::timestamptz + interval '10min', 5
  FROM generate_series(1, $2::int) n`, h.now(), maxDeviceLogins)
	testkit.Must(t, err)
	_, err = h.BeginDeviceLogin(t.Context(), Client{Address: "203.0.113.52"})
	refused, ok := errors.AsType[*problem.Error](err)
	if !ok || refused.Code != CodeTooManyDeviceLogins || refused.RetryAfter <= 0 {
		t.Errorf("with %d open requests: %v", maxDeviceLogins, err)
	}
	h.clock.Advance(deviceLoginLife)
	h.beginDevice() // expired ones do not count
}
