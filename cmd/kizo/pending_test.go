package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

func TestPendingShowsMemoAgeAndKey(t *testing.T) {
	w := newWorld(t, newFakeServer(t, answerCode(500, client.Internal)).Server)
	w.expect(exitUnknown, "transfer", "@bob", "12.50", "-m", "lunch \u202eevil", "--idempotency-key", "invoice-17")
	w.expect(exitUnknown, "deposit", "1")
	w.now = w.now.Add(90 * time.Minute)
	w.expect(exitDone, "pending", "--json=key,memo")
	testkit.Contains(t, w.out.String(), `{"key":"invoice-17","memo":"lunch \u202eevil"}`, `"memo":""}`)
	w.expect(exitDone, "pending")
	testkit.Contains(t, w.out.String(), "invoice-17\t2026-03-01T12:00:00Z\ttransfer 12.50 USD to @bob\t@ada\t", "\tlunch \\u{202e}evil\n")
	w.terminal = true
	w.expect(exitDone, "pending")
	testkit.Contains(t, w.out.String(), "invoice-17", "1h ago", "transfer 12.50 USD to @bob", "lunch")
}

func TestPendingDrop(t *testing.T) {
	w := newWorld(t, newFakeServer(t, answerCode(500, client.Internal)).Server)
	w.expect(exitUnknown, "transfer", "@bob", "12.50", "--idempotency-key", "invoice-17")
	w.expect(exitUnknown, "transfer", "@bob", "12.50", "--idempotency-key", "invoice-18")

	w.expect(exitNotFound, "pending", "drop", "invoice-19", "--yes")
	w.expect(exitUsage, "pending", "drpo", "invoice-17")
	testkit.Contains(t, w.err.String(), "try: kizo pending drop")
	w.expect(exitUsage, "pending", "drop", "invoice-17") // there is no terminal to ask on
	testkit.Contains(t, w.err.String(), "may have moved money", "kizo retry invoice-17", "--yes")
	answer := "no"
	w.readLine = func(context.Context, string) (string, error) { return answer, nil }
	w.expect(exitUsage, "pending", "drop", "invoice-17")
	w.expect(exitDone, "pending", "--json=key")
	testkit.Contains(t, w.out.String(), `[{"key":"invoice-17"},{"key":"invoice-18"}]`)

	answer = "yes"
	w.expect(exitDone, "pending", "drop", "invoice-17")
	testkit.Contains(t, w.err.String(), "transfer 12.50 USD to @bob", "kizo transfers list")
	w.readLine = nil
	w.expect(exitDone, "pending", "--json=key")
	testkit.Contains(t, w.out.String(), `[{"key":"invoice-18"}]`)
	w.expect(exitDone, "pending", "drop", "invoice-18", "--yes", "--json")
	testkit.Contains(t, w.out.String(), `"key":"invoice-18"`)
	if w.err.Len() > 0 {
		t.Errorf("with --json, stderr is for errors: %s", &w.err)
	}
	w.expect(exitDone, "pending", "--json")
	if strings.TrimSpace(w.out.String()) != "[]" {
		t.Errorf("%s", &w.out)
	}
}
