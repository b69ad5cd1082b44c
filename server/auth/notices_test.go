package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
)

// noticeRow is a row of an inbox, as the database has it.
type noticeRow struct {
	Kind, Client, Address, Detail string
	At                            time.Time
	Due                           bool
}

func (h *harness) notices(userID UserID) []noticeRow {
	h.t.Helper()
	rows, err := h.pool.Query(h.t.Context(), `SELECT kind, client, address, detail, at, mail_due FROM notices WHERE user_id = $1 ORDER BY id`, userID)
	testkit.Must(h.t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[noticeRow])
	testkit.Must(h.t, err)
	return found
}

// TestActionsMakeNotices: what a user, an attacker or an operator does to an account puts a notice
// into the inbox of that account, for each event that makes one; the notice says what
// its security event says.
func TestActionsMakeNotices(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx, owner := t.Context(), h.owner()
	session, alice := h.signUp("alice")
	_, bob := h.signUp("bob")
	testkit.Equal(t, "notices after a sign-up", fmt.Sprint(h.notices(alice.ID)), "[]")
	u := emailUser{h, h.principal(h.Service, session), alice}
	h.verify("alice")

	hostile := Client{UserAgent: "evil\x1b[2J\u202e\nkizo", Address: "203.0.113.9"}
	laptopSession, _, err := h.LogIn(ctx, "alice", goodPassword, "", hostile)
	testkit.Must(t, err)
	mail, refused := u.change("alice@new.example", goodPassword)
	testkit.Equal(t, "change of the address", refused, "")
	testkit.Equal(t, "confirmed", u.confirm(mail.Code), "")
	d := h.beginDevice()
	h.decide(alice, session.SessionID, d.UserCode, true)
	h.wantPoll(d, "")
	h.createKey(alice.ID, "other")
	_, key := h.createKey(alice.ID, "payroll")
	_, _, err = h.RotateAPIKey(ctx, alice.ID, key.ID, RotateAPIKeyInput{Password: goodPassword})
	testkit.Must(t, err)
	revoked, key := h.createKey(alice.ID, "old")
	testkit.Must(t, h.RevokeAPIKey(ctx, alice.ID, key.ID, Client{}))
	testkit.Equal(t, "a revoked key", h.keyRefusal(revoked), CodeKeyRevoked)
	h.keyUses.wait()
	testkit.Must(t, pgx.BeginFunc(ctx, h.pool, func(tx pgx.Tx) error {
		return h.RecordLimitChange(u.Principal, Client{})(ctx, tx, "USD 5.00 per day", false)
	}))
	_, _, err = h.Records(ctx, u.Principal, "", Client{})
	testkit.Must(t, err)
	testkit.Equal(t, "handle", h.changeHandle(alice, "alina"), "")

	if _, _, err := h.Refresh(ctx, laptopSession.RefreshToken, Client{}); err != nil {
		t.Fatal(err)
	}
	testkit.Equal(t, "reuse", h.refreshRefusal(laptopSession.RefreshToken), CodeRefreshTokenReused)
	secret, codes := h.factorOf(alice, session)
	threshold := int64(100)
	testkit.Must(t, h.SetStepUpThreshold(ctx, h.principal(h.Service, session), "USD", &threshold, Client{}))
	for range 2 {
		_, _, err = h.LogIn(ctx, "alina", goodPassword, "000000", Client{})
		wantCode(t, err, CodeOTPInvalid)
	}
	_, _, err = h.LogIn(ctx, "alina", goodPassword, codes[0], Client{})
	testkit.Must(t, err)
	testkit.Must(t, h.RemoveSecondFactor(ctx, u.Principal, goodPassword, h.otpAt(secret, 0), Client{}))

	testkit.Equal(t, "a mailed code", h.mailReset("alina") != "", true)
	ref := UserRef{ID: alice.ID, Handle: "alina"}
	testkit.Must(t, h.RecordView(ctx, bob.ID, "payments", ref))
	testkit.Must(t, h.RecordOwnFreeze(ctx, u.Principal, Client{}, true))
	testkit.Must(t, h.RecordOperatorFreeze(ctx, ref, false))
	testkit.Must(t, owner.Grant(ctx, "alina", RoleOperator, "test"))
	id, err := h.RequestApproval(ctx, alice.ID, NewApproval{Action: "account.unfreeze", Subject: uuid.NewString(), About: "@carol", Reason: "test"})
	testkit.Must(t, err)
	approval, err := h.Approval(ctx, id)
	testkit.Must(t, err)
	testkit.Must(t, h.Decide(ctx, Principal{UserID: bob.ID, Handle: "bob"}, approval, true, "test"))
	testkit.Must(t, h.Suspend(ctx, alice.ID, "test"))
	testkit.Must(t, h.Reinstate(ctx, alice.ID, "test"))
	_, err = h.changePassword(alice, session, goodPassword, otherPassword)
	testkit.Must(t, err)
	guess := func() {
		_, _, err := h.LogIn(ctx, "alina", wrongPassword, "", Client{Address: "203.0.113.66"})
		wantCode(t, err, CodeInvalidCredentials)
	}
	for h.countEvents(alice.ID, EventLockedOut) == 0 {
		h.clock.Advance(lockOut - time.Second) // shorter blocks have ended
		guess()
	}
	for range 2 { // on the same day
		h.clock.Advance(maxBlock)
		guess()
	}
	testkit.Equal(t, "lock-outs", h.countEvents(alice.ID, EventLockedOut), 3)
	testkit.Equal(t, "failures until the first", h.countEvents(alice.ID, EventSignInFailed), accountRule.free+6+3)

	h.wantNoticesOfEvents(alice.ID)
	testkit.Equal(t, "notices of another user", fmt.Sprint(h.notices(bob.ID)), "[]")
}

// onceADay are the events that make one notice in a day.
var onceADay = []SecurityEvent{EventLockedOut, EventSecondFactorFailed, EventKeyRefused}

// wantNoticesOfEvents compares the inbox of a user with the security events.
func (h *harness) wantNoticesOfEvents(userID UserID) {
	h.t.Helper()
	events, err := h.History(h.t.Context(), userID, 1000)
	testkit.Must(h.t, err)
	slices.Reverse(events)
	found, seen := h.notices(userID), map[SecurityEvent]bool{}
	withNotice := map[string]bool{}
	for _, n := range found {
		withNotice[n.Kind] = true
		if strings.ContainsAny(n.Client+n.Detail, "\x1b\n\u202e") {
			h.t.Errorf("a notice with control characters: %q", fmt.Sprint(n))
		}
	}
	next := 0
	for _, e := range events {
		if !withNotice[string(e.Event)] || seen[e.Event] && slices.Contains(onceADay, e.Event) {
			continue
		}
		seen[e.Event] = true
		if next == len(found) {
			h.t.Fatalf("%s at %v has no notice", e.Event, e.At)
		}
		n := found[next]
		testkit.Equal(h.t, fmt.Sprintf("notice %d", next), fmt.Sprint(n.Kind, n.Client, n.Address, n.Detail, n.At), fmt.Sprint(e.Event, e.Client, e.Address, e.Detail, e.At))
		next++
	}
	testkit.Equal(h.t, "notices", len(found), next)
	for _, event := range securityEvents {
		if !withNotice[string(event)] && !slices.Contains(withoutNotice, event) {
			h.t.Errorf("no action of this test made a notice of %s", event)
		}
	}
	h.t.Logf("%d events, %d notices of %d kinds", len(events), len(found), len(withNotice))
}

// withoutNotice are the events that make no notice; package notices has the reasons of those that
// are stored. The others are only logged.
var withoutNotice = []SecurityEvent{
	EventSignedUp, EventSignedIn, EventSignInFailed, EventSignedOut, EventSessionRevoked, EventDeviceDenied, EventEmailVerified, EventSteppedUp, EventStepUpFailed,
	EventAccountClosed,
	EventSignInThrottled, EventSignInRefused, EventRefreshRefused, EventTokenRefused, EventForbidden, EventRateLimited, EventOperatorAction,
}
