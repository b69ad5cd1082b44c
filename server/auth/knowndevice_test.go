package auth

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

var nextAddress atomic.Int32

// tryOn logs in with a device token from an address that no user has used, and returns the tokens.
func (h *harness) tryOn(device, who, password string) (Tokens, problem.Code) {
	h.t.Helper()
	n := nextAddress.Add(1)
	address := fmt.Sprintf("10.7.%d.%d", n/250, n%250)
	tokens, _, err := h.LogIn(h.t.Context(), who, password, "", Client{Address: address, DeviceToken: device})
	return tokens, code(h.t, err)
}

func (h *harness) wantOn(device, who, password string, want problem.Code) Tokens {
	h.t.Helper()
	tokens, got := h.tryOn(device, who, password)
	testkit.Equal(h.t, "log-in of "+who, got, want)
	return tokens
}

// countEvents returns how often an event is recorded for a user.
func (h *harness) countEvents(userID UserID, event SecurityEvent) (n int) {
	h.t.Helper()
	err := h.pool.QueryRow(h.t.Context(), `SELECT count(*) FROM security_events WHERE user_id = $1 AND event = $2`, userID, event).Scan(&n)
	testkit.Must(h.t, err)
	return n
}

// TestKnownDeviceIsNotLockedOut: wrong passwords of others do not lock a user out on a known
// device, even at a new address, by either login; the device opens nothing for another user, and
// nothing without the password.
func TestKnownDeviceIsNotLockedOut(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, _ := h.signUp("alice")
	other, _ := h.signUp("bob")
	if first.DeviceToken == "" || first.DeviceToken == other.DeviceToken {
		t.Fatal("a sign-up returned no device token of its own")
	}
	for _, who := range []string{"alice", "alice@example.com"} {
		h.block(who)
		h.wantOn("", who, goodPassword, CodeTooManyAttempts)
		h.wantOn(other.DeviceToken, who, goodPassword, CodeTooManyAttempts)
		h.wantOn(first.DeviceToken+"x", who, goodPassword, CodeTooManyAttempts)
		h.wantOn(first.DeviceToken, who, goodPassword, "")
		for range accountRule.free { // the device has the limit of an account
			h.wantOn(first.DeviceToken, who, wrongPassword, CodeInvalidCredentials)
		}
		h.wantOn(first.DeviceToken, who, goodPassword, CodeTooManyAttempts)
		h.clock.Advance(24 * time.Hour)
	}
}

// TestNewDeviceIsRecorded: a sign-in without the token of an earlier one is recorded, and gets a
// token; one with it is not.
func TestNewDeviceIsRecorded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, alice := h.signUp("alice")
	testkit.Equal(t, "new devices at the sign-up", h.countEvents(alice.ID, EventNewDevice), 0)
	again := h.wantOn(first.DeviceToken, "alice", goodPassword, "")
	testkit.Equal(t, "another token", again.DeviceToken, "")
	testkit.Equal(t, "new devices", h.countEvents(alice.ID, EventNewDevice), 0)
	second := h.wantOn("", "alice", goodPassword, "")
	testkit.Equal(t, "new devices", h.countEvents(alice.ID, EventNewDevice), 1)
	h.wantOn(second.DeviceToken, "alice", goodPassword, "")
	testkit.Equal(t, "new devices", h.countEvents(alice.ID, EventNewDevice), 1)
	var stored int
	h.scan(`SELECT count(*) FROM known_devices k WHERE k::text LIKE $1`, "%"+second.DeviceToken[len(deviceTokenPrefix):]+"%", &stored)
	testkit.Equal(t, "rows with a token", stored, 0)
}

// TestEndedSessionForgetsItsDevice: a device is forgotten when its last session is ended from
// elsewhere, and not when its user logs out there.
func TestEndedSessionForgetsItsDevice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end   func(h *harness, alice UserID, device Tokens) error
		known bool
	}{
		"logged out": {func(h *harness, _ UserID, d Tokens) error { return h.LogOut(t.Context(), d.SessionID) }, true},
		"revoked":    {func(h *harness, a UserID, d Tokens) error { return h.RevokeSession(t.Context(), a, d.SessionID) }, false},
		"others ended": {func(h *harness, a UserID, _ Tokens) error {
			_, err := h.EndOtherSessions(t.Context(), a, uuid.Nil)
			return err
		}, false},
		"another kept": {func(h *harness, a UserID, d Tokens) error {
			_, err := h.EndOtherSessions(t.Context(), a, d.SessionID)
			return err
		}, true},
		"token stolen": {func(h *harness, _ UserID, d Tokens) error {
			for range 2 {
				_, _, err := h.Refresh(t.Context(), d.RefreshToken, Client{})
				if c := problem.CodeOf(err); c != "" && c != CodeRefreshTokenReused {
					return err
				}
			}
			return nil
		}, false},
		"password changed": {func(h *harness, a UserID, _ Tokens) error {
			_, err := h.ChangePassword(t.Context(), a, ChangePasswordInput{Current: goodPassword, New: goodPassword + " 2"})
			if err == nil {
				_, err = h.ChangePassword(t.Context(), a, ChangePasswordInput{Current: goodPassword + " 2", New: goodPassword})
			}
			return err
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			_, alice := h.signUp("alice")
			device := h.wantOn("", "alice", goodPassword, "")
			testkit.Must(t, c.end(h, alice.ID, device))
			h.block("alice")
			want := CodeTooManyAttempts
			if c.known {
				want = ""
			}
			h.wantOn(device.DeviceToken, "alice", goodPassword, want)
			h.clock.Advance(24 * time.Hour)
			again := h.wantOn(device.DeviceToken, "alice", goodPassword, "")
			testkit.Equal(t, "has a new token", again.DeviceToken != "", !c.known)
		})
	}
}

func TestKnownDevicesAreBoundedAndPruned(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, alice := h.signUp("alice")
	count := func() (rows int) {
		h.scan(`SELECT count(*) FROM known_devices WHERE user_id = $1`, alice.ID, &rows)
		return rows
	}
	var last Tokens
	for range maxKnownDevices + 5 {
		h.clock.Advance(time.Second)
		last = h.wantOn("", "alice", goodPassword, "")
	}
	testkit.Equal(t, "rows", count(), maxKnownDevices)
	h.block("alice")
	h.wantOn(first.DeviceToken, "alice", goodPassword, CodeTooManyAttempts) // deleted as the oldest
	h.wantOn(last.DeviceToken, "alice", goodPassword, "")
	h.clock.Advance(keepKnownDevice + time.Hour)
	h.block("alice")
	h.wantOn(last.DeviceToken, "alice", goodPassword, CodeTooManyAttempts) // too old, although not pruned yet
	_, err := h.Prune(context.Background(), 1000)
	testkit.Must(t, err)
	testkit.Equal(t, "rows after pruning", count(), 0)
}
