package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// TestPayeeOfAnAddressIsShownFirst: on a terminal, kizo shows the name of an e-mail address and
// asks before money moves. It does not ask scripts, with --yes, or for a handle.
func TestPayeeOfAnAddressIsShownFirst(t *testing.T) {
	preview := func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"amount":100,"fee":0,"currency":"USD","from":{"handle":"ada"},"to":{"handle":"bob","name":"Bob Moore"},"balance_after":0,"available_after":0}`)
	}
	sent := answerTransfer(http.StatusCreated, client.Posted, "lunch")
	for _, test := range []struct {
		name     string
		answer   string
		terminal bool
		args     []string
		answers  []http.HandlerFunc
		code     int
	}{
		{"agreed", "yes", true, []string{"bob@example.com", "1"}, []http.HandlerFunc{preview, sent}, exitDone},
		{"not agreed", "no", true, []string{"bob@example.com", "1"}, []http.HandlerFunc{preview}, exitUsage},
		{"--yes", "no", true, []string{"bob@example.com", "1", "--yes"}, []http.HandlerFunc{sent}, exitDone},
		{"a pipe", "no", false, []string{"bob@example.com", "1"}, []http.HandlerFunc{sent}, exitDone},
		{"a handle", "no", true, []string{"@bob", "1"}, []http.HandlerFunc{sent}, exitDone},
	} {
		s := newFakeServer(t, test.answers...)
		w := newWorld(t, s.Server)
		w.env["KIZO_TOKEN"] = "token"
		w.terminal = test.terminal
		asked := false
		w.readLine = func(context.Context, string) (string, error) {
			asked = true
			testkit.Contains(t, w.err.String(), "bob@example.com is @bob (Bob Moore).")
			return test.answer, nil
		}
		w.expect(test.code, append([]string{"transfer"}, test.args...)...)
		if len(s.seen) != len(test.answers) || asked != (len(test.answers) == 2 || test.code == exitUsage) {
			t.Errorf("%s: %d requests, asked %v", test.name, len(s.seen), asked)
		}
	}
}
