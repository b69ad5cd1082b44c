package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// TestApprovalOfADeviceSurvivesAKill: a process approves a device and is killed before the device
// asks. Then the device asks both processes at once, many times: one answer has tokens.
func TestApprovalOfADeviceSurvivesAKill(t *testing.T) {
	t.Parallel()
	const polls = 24
	k := startTwoKizods(t)
	alice := signUp(t, k.client, k.url(1), "alice")
	post := func(i int, path, token string, body map[string]any, into any) (int, string) {
		header := http.Header{}
		if token != "" {
			header.Set("Authorization", "Bearer "+token)
		}
		status, _, text, err := call(k.client, http.MethodPost, k.url(i)+path, header, body, into)
		testkit.Must(t, err)
		return status, text
	}
	var begun struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	status, text := post(1, "/v1/auth/device", "", nil, &begun)
	testkit.Equal(t, "begun "+text, status, 201)
	var found struct{ ID string }
	status, text = post(0, "/v1/auth/device/find", alice.token, map[string]any{"user_code": begun.UserCode}, &found)
	testkit.Equal(t, "found "+text, status, 200)
	status, text = post(0, "/v1/auth/device/approve", alice.token, map[string]any{"id": found.ID, "user_code": begun.UserCode}, nil)
	testkit.Equal(t, "approved "+text, status, 204)
	k.killFirst()
	var (
		group           sync.WaitGroup
		mu              sync.Mutex
		opened, refused int
	)
	for i := range polls {
		group.Go(func() {
			header := http.Header{}
			status, _, text, err := call(k.client, http.MethodPost, k.url(i)+"/v1/auth/device/token", header, map[string]any{"device_code": begun.DeviceCode}, nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && status == 200:
				opened++
			case err == nil && status == 400 && strings.Contains(text, "expired_token"):
				refused++
			default:
				t.Errorf("poll: %d %s %v", status, text, err)
			}
		})
	}
	group.Wait()
	testkit.Equal(t, "answers with tokens", opened, 1)
	var sessions struct{ Items []struct{ ID string } }
	status, _, text, err := call(k.client, http.MethodGet, k.url(0)+"/v1/sessions", http.Header{"Authorization": {"Bearer " + alice.token}}, nil, &sessions)
	testkit.Must(t, err)
	testkit.Equal(t, "listed "+text, status, 200)
	testkit.Equal(t, "sessions", len(sessions.Items), 2)
	t.Logf("%d concurrent polls of two processes, of which one was killed after the approval: %d session, %d refused", polls, opened, refused)
}
