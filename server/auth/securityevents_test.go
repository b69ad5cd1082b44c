package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
)

// recordedLog is the log of a service: one JSON object per line.
type recordedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *recordedLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// lines returns the logged security events with this name.
func (l *recordedLog) lines(t testing.TB, event SecurityEvent) (lines []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		var fields map[string]any
		testkit.Must(t, json.Unmarshal([]byte(line), &fields))
		if fields["msg"] == "security event" && fields["event"] == string(event) {
			lines = append(lines, fields)
		}
	}
	return lines
}

func newTrailHouse(t *testing.T) (*harness, *recordedLog) {
	log := &recordedLog{}
	return newHarness(t, func(c *Config) { c.Logger = slog.New(slog.NewJSONHandler(log, nil)) }), log
}

func (h *harness) history(userID UserID) (events []string) {
	h.t.Helper()
	records, err := h.History(h.t.Context(), userID, 100)
	testkit.Must(h.t, err)
	for _, r := range slices.Backward(records) {
		events = append(events, string(r.Event))
	}
	return events
}

// TestSecurityEvents: each event writes one log line and, if it is about a user, one row for that
// user.
func TestSecurityEvents(t *testing.T) {
	t.Parallel()
	h, log := newTrailHouse(t)
	tokens, alice := h.signUp("alice")
	ctx, client := t.Context(), Client{UserAgent: "evil\n{\"event\":\"signed_in\"}\x1b[2J", Address: "192.0.2.9"}
	_, _, err := h.LogIn(ctx, "alice", wrongPassword, "", client)
	wantCode(t, err, CodeInvalidCredentials)
	_, _, err = h.LogIn(ctx, "Alice@Example.com", wrongPassword, "", Client{}) // without an address
	wantCode(t, err, CodeInvalidCredentials)
	second := h.logIn("alice")
	next, _, err := h.Refresh(ctx, second.RefreshToken, client)
	testkit.Must(t, err)
	for range 2 {
		testkit.Equal(t, "reuse", h.refreshRefusal(second.RefreshToken), CodeRefreshTokenReused)
	}
	testkit.Equal(t, "after the reuse", h.refreshRefusal(next.RefreshToken), CodeRefreshTokenInvalid)
	third, fourth := h.logIn("alice"), h.logIn("alice")
	testkit.Must(t, h.LogOut(ctx, third.SessionID))
	testkit.Must(t, h.LogOut(ctx, third.SessionID)) // the session has ended already
	testkit.Must(t, h.RevokeSession(ctx, alice.ID, fourth.SessionID))
	testkit.Must(t, h.owner().Grant(ctx, "alice", RoleOperator, "she was hired"))
	testkit.Must(t, h.Suspend(ctx, alice.ID, "x"))
	_, _, err = h.LogIn(ctx, "alice", goodPassword, "", client)
	wantCode(t, err, CodeAccountSuspended)
	testkit.Must(t, h.Reinstate(ctx, alice.ID, "x"))
	h.block("alice")

	testkit.Equal(t, "rows", fmt.Sprint(h.history(alice.ID)[:16]), fmt.Sprint([]string{
		"signed_up", "sign_in_failed", "sign_in_failed", "new_device", "signed_in", "refresh_token_reused",
		"new_device", "signed_in", "new_device", "signed_in", "signed_out",
		"session_revoked", "role_changed", "suspended", "reinstated", "sign_in_failed",
	}))
	for event, want := range map[SecurityEvent]int{
		EventSignedUp: 1, EventSignInFailed: 2 + accountRule.free, EventSignedIn: 3, EventNewDevice: 3, EventRefreshTokenReused: 2, EventRefreshRefused: 1,
		EventSignedOut: 2, EventSessionRevoked: 1, EventRoleChanged: 1, EventSuspended: 1, EventReinstated: 1,
		EventSignInRefused: 1, EventSignInThrottled: 1,
	} {
		testkit.Equal(t, string(event)+" lines", len(log.lines(t, event)), want)
		testkit.Equal(t, string(event)+" counted", int(counter(t, h.config.Metrics.events.WithLabelValues(string(event)))), want)
	}
	failed := log.lines(t, EventSignInFailed)[0]
	testkit.Equal(t, "user", failed["user"], any("alice"))
	testkit.Equal(t, "client", failed["client"], any(`evil {"event":"signed_in"}[2J`))
	records, err := h.History(ctx, alice.ID, 100)
	testkit.Must(t, err)
	first := records[len(records)-2]
	testkit.Equal(t, "address of a row", first.Address, "192.0.2.9")
	testkit.Equal(t, "client of a row", first.Client, `evil {"event":"signed_in"}[2J`)
	for _, secret := range []string{
		goodPassword, wrongPassword, tokens.AccessToken, tokens.RefreshToken, second.RefreshToken, "Alice@Example", "alice@example",
	} {
		if strings.Contains(log.text.String(), secret) {
			t.Errorf("the log contains %.20q", secret)
		}
	}
	actions, err := h.Actions(ctx, 10)
	testkit.Must(t, err)
	testkit.Equal(t, "action", actions[0].Operator+" "+actions[0].Action+" "+actions[0].Subject+" "+actions[0].Reason,
		"kizod role.grant.operator alice she was hired")
}

// TestUnknownLoginIsNotLogged: a text that a user types as login may be a password. It is not
// logged, but two attempts with the same text can be recognized.
func TestUnknownLoginIsNotLogged(t *testing.T) {
	t.Parallel()
	h, log := newTrailHouse(t)
	for _, who := range []string{"hunter2hunter2", "HUNTER2hunter2", "my secret, by mistake"} {
		_, _, err := h.LogIn(t.Context(), who, wrongPassword, "", Client{})
		wantCode(t, err, CodeInvalidCredentials)
	}
	lines := log.lines(t, EventSignInFailed)
	testkit.Equal(t, "the same login", lines[0]["unknown_login"], lines[1]["unknown_login"])
	if lines[0]["unknown_login"] == lines[2]["unknown_login"] || strings.Contains(strings.ToLower(log.text.String()), "hunter2") ||
		strings.Contains(log.text.String(), "secret") {
		t.Error(log.text.String())
	}
}

// TestEventsAreBounded: of many events of one kind, a bounded number of lines is logged, together
// with the number of omitted ones. Events of other kinds are logged.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	log := &recordedLog{}
	counted := 0
	trail := &eventLog{log: slog.New(slog.NewJSONHandler(log, nil)), count: func(SecurityEvent) { counted++ }}
	const flood = 10_000
	for range flood {
		trail.write(t.Context(), EventForbidden)
	}
	trail.write(t.Context(), EventSignedIn)
	testkit.Equal(t, "counted", counted, flood+1)
	if n := len(log.lines(t, EventForbidden)); n < maxEventBurst || n > flood/10 {
		t.Errorf("%d lines", n)
	}
	testkit.Equal(t, "other lines", len(log.lines(t, EventSignedIn)), 1)
	omitted, ok := trail.take(EventForbidden, time.Now().Add(time.Second))
	if !ok || omitted == 0 {
		t.Errorf("%d omitted, %v", omitted, ok)
	}
}

// TestSecurityEventsAreImmutable: the application's role can neither change a security event nor
// delete a recent one.
func TestSecurityEventsAreImmutable(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.Now = nil })
	_, alice := h.signUp("alice")
	for _, attack := range []string{
		`UPDATE security_events SET event = 'signed_in'`, `DELETE FROM security_events`, `TRUNCATE security_events`,
		`INSERT INTO security_events (id, at, user_id, event) OVERRIDING SYSTEM VALUE SELECT 1, now(), id, 'signed_in' FROM users`,
	} {
		if _, err := h.pool.Exec(t.Context(), attack); err == nil {
			t.Errorf("succeeded: %s", attack)
		}
	}
	testkit.Equal(t, "rows", len(h.history(alice.ID)), 1)
	_, err := h.pool.Exec(t.Context(), `INSERT INTO security_events (at, user_id, event) VALUES (now() - interval '181 days', $1, 'signed_in')`, alice.ID)
	testkit.Must(t, err)
	gone, err := h.Prune(t.Context(), 10)
	testkit.Must(t, err)
	testkit.Equal(t, "pruned", gone, 1)
}
