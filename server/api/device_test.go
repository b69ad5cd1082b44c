package api_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
)

// beginDevice opens the request of a device at an address of its own.
func (h *fixture) beginDevice() auth.DeviceLogin {
	h.t.Helper()
	id := uuid.New()
	d, err := h.auth.BeginDeviceLogin(h.t.Context(), auth.Client{UserAgent: "device", Address: "2001:db8:" + id.String()[:4] + ":" + id.String()[4:8] + "::1"})
	testkit.Must(h.t, err)
	h.log.keepOut(d.DeviceCode, d.UserCode)
	return d
}

// waitingDevice is the body of a decision about a request that waits.
func waitingDevice(h *fixture, u *user) any {
	h.t.Helper()
	d := h.beginDevice()
	found, err := h.auth.FindDeviceLogin(h.t.Context(), u.id, d.UserCode, auth.Client{})
	testkit.Must(h.t, err)
	return fields{"id": found.ID.String(), "user_code": d.UserCode}
}

// TestDeviceLoginOverHTTP: a device is logged in by a user elsewhere; the errors of a poll have the
// names and the status of RFC 8628.
func TestDeviceLoginOverHTTP(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	device := &user{}
	begin := func() openapi.DeviceLogin {
		d := read[openapi.DeviceLogin](h.do(ask{method: "POST", path: "/v1/auth/device"}).want(201))
		h.log.keepOut(d.DeviceCode, d.UserCode)
		testkit.Equal(t, "life", d.ExpiresIn, 600)
		testkit.Equal(t, "interval", d.Interval, 5)
		return d
	}
	poll := func(d openapi.DeviceLogin) *answer {
		return h.post(device, "/v1/auth/device/token", fields{"device_code": d.DeviceCode})
	}
	find := func(d openapi.DeviceLogin) openapi.DeviceRequest {
		return read[openapi.DeviceRequest](h.post(alice, "/v1/auth/device/find", fields{"user_code": d.UserCode}).want(200))
	}
	d, denied := begin(), begin()
	poll(d).wantProblem(openapi.AuthorizationPending)
	testkit.Equal(t, "status", poll(d).status, 400)
	poll(d).wantProblem(openapi.SlowDown)
	shown := find(d)
	testkit.Equal(t, "same address", shown.SameAddress, true)
	testkit.Equal(t, "needs a code", shown.OtpRequired, false)
	if shown.Address == "" || shown.Client == "" || !shown.ExpiresAt.After(shown.RequestedAt) {
		t.Errorf("shown: %+v", shown)
	}
	h.post(alice, "/v1/auth/device/find", fields{"user_code": "AAAA-AAAA"}).wantProblem(openapi.UserCodeInvalid)
	h.post(alice, "/v1/auth/device/approve", fields{"id": shown.Id, "user_code": denied.UserCode}).wantProblem(openapi.UserCodeInvalid)
	h.post(alice, "/v1/auth/device/approve", fields{"id": shown.Id, "user_code": d.UserCode}).want(204)
	h.post(alice, "/v1/auth/device/deny", fields{"id": find(denied).Id, "user_code": denied.UserCode}).want(204)
	opened := read[openapi.Tokens](poll(d).want(200))
	h.log.keepOut(opened.AccessToken, opened.RefreshToken, opened.DeviceToken)
	testkit.Equal(t, "user", opened.User.Handle, "alice")
	poll(d).wantProblem(openapi.ExpiredToken)
	poll(denied).wantProblem(openapi.AccessDenied)
	if len(opened.DeviceToken) < 40 {
		t.Errorf("device token of %d characters", len(opened.DeviceToken))
	}
	again := h.post(device, "/v1/auth/login", fields{"login": "alice", "password": password, "device_token": opened.DeviceToken})
	h.keep(again)
	testkit.Equal(t, "another device token", read[openapi.Tokens](again).DeviceToken, "")
}
