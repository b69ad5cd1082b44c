package notices_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/notices"
)

var quoted = regexp.MustCompile(`'([a-z_]+)'`)

// TestEachEventHasANoticeOrAReason: each security event that the database accepts makes a notice
// with a text, or has a reason why it makes none. A new event needs one of both.
func TestEachEventHasANoticeOrAReason(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var constraint string
	testkit.Must(t, h.admin.QueryRow(t.Context(), `SELECT pg_get_constraintdef(oid) FROM pg_constraint
		WHERE conrelid = 'security_events'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%signed_up%'`).Scan(&constraint))
	names, made := quoted.FindAllStringSubmatch(constraint, -1), 0
	if len(names) < 36 {
		t.Fatalf("only %d names in %s", len(names), constraint)
	}
	for _, name := range names {
		event := auth.SecurityEvent(name[1])
		user := h.signUp(strings.ReplaceAll("u_"+name[1], "__", "_")[:min(30, len(name[1])+2)])
		h.record(user, name[1], 1)
		page := h.list(user, notices.Query{Limit: 2})
		text, hasText := notices.SecurityNotices[event]
		reason, hasReason := notices.WithoutNotice[event]
		switch {
		case hasText == hasReason:
			t.Errorf("%s: a text %v, a reason for no notice %q: it needs one of both", event, text, reason)
		case hasText != (len(page.Notices) == 1):
			t.Errorf("%s: a text %v, and %d notices by the database", event, text, len(page.Notices))
		case hasText:
			made++
			n := page.Notices[0]
			testkit.Equal(t, string(event), fmt.Sprint(n.Kind, n.Client, n.Address, n.Detail, n.ReadAt == nil, page.Unread), fmt.Sprint(event, "kizo/1.0", "192.0.2.7", "1", true, 1))
			if len(n.Title()) < 10 || len(n.Advice()) < 10 || strings.HasSuffix(n.Title(), ".") {
				t.Errorf("%s: %q, %q", event, n.Title(), n.Advice())
			}
		case reason == "":
			t.Errorf("%s makes no notice for no reason", event)
		}
	}
	testkit.Equal(t, "events that the database does not know", len(notices.SecurityNotices)+len(notices.WithoutNotice), len(names))
	t.Logf("%d events, %d make a notice", len(names), made)
}

// TestInboxPages: pages have each notice once, newest first; reading takes effect for the notices
// that are named, and for no other user.
func TestInboxPages(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice, bob := h.signUp("alice"), h.signUp("bob")
	h.record(alice, "new_device", 7)
	h.record(bob, "key_created", 2)
	var all []int64
	for q := (notices.Query{Limit: 3}); ; {
		page := h.list(alice, q)
		testkit.Equal(t, "unread", page.Unread, 7)
		for _, n := range page.Notices {
			all = append(all, n.ID)
		}
		if q.Before = page.Next; q.Before == 0 {
			break
		}
	}
	testkit.Equal(t, "notices", len(all), 7)
	details := ""
	for _, n := range h.list(alice, notices.Query{Limit: 100}).Notices {
		details += n.Detail
	}
	testkit.Equal(t, "order", details, "7654321")

	bobs := h.list(bob, notices.Query{Limit: 100}).Notices
	found, unread, err := h.MarkRead(t.Context(), alice.ID, []int64{all[0], all[2], bobs[0].ID, -1})
	testkit.Must(t, err)
	testkit.Equal(t, "found and unread", fmt.Sprint(found, unread), "2 5")
	again, unread, err := h.MarkRead(t.Context(), alice.ID, all[:1])
	testkit.Must(t, err)
	testkit.Equal(t, "found and unread, again", fmt.Sprint(again, unread), "1 5")
	page := h.list(alice, notices.Query{Limit: 100, Unread: true})
	testkit.Equal(t, "unread notices", fmt.Sprint(len(page.Notices), page.Unread, page.Notices[0].ID == all[1]), "5 5 true")
	testkit.Equal(t, "those of another user", h.list(bob, notices.Query{Limit: 1}).Unread, 2)
}

// TestInboxIsBounded: a user keeps the newest 250 notices about the account, and other users keep
// theirs; those older than 180 days are deleted.
func TestInboxIsBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice, bob := h.signUp("alice"), h.signUp("bob")
	h.record(bob, "key_created", 1)
	h.record(alice, "key_created", 260)
	page := h.list(alice, notices.Query{Limit: 1000})
	testkit.Equal(t, "kept", fmt.Sprint(len(page.Notices), " ", page.Notices[0].Detail, " ", page.Notices[249].Detail), "250 260 11")
	testkit.Equal(t, "of another user", len(h.list(bob, notices.Query{Limit: 10}).Notices), 1)

	h.record(alice, "locked_out", 3) // details differ
	_, err := h.pool.Exec(t.Context(), `INSERT INTO security_events (at, user_id, event) SELECT now(), $1, 'locked_out' FROM generate_series(1, 5)`, alice.ID)
	testkit.Must(t, err)
	testkit.Equal(t, "once a day", h.list(alice, notices.Query{Limit: 4}).Notices[3].Kind, notices.Kind("locked_out"))
	testkit.Equal(t, "before", h.list(alice, notices.Query{Limit: 5}).Notices[4].Kind, notices.Kind("key_created"))

	_, err = h.admin.Exec(t.Context(), `ALTER TABLE notices DISABLE TRIGGER USER; UPDATE notices SET at = now() - interval '181 days' WHERE kind = 'key_created';
		ALTER TABLE notices ENABLE TRIGGER USER`)
	testkit.Must(t, err)
	for range 3 {
		_, err := h.Prune(t.Context(), 100)
		testkit.Must(t, err)
	}
	testkit.Equal(t, "after 180 days", len(h.list(alice, notices.Query{Limit: 100}).Notices), 4)
}

// TestNoticesAreOfTheirEvent: an event that is not committed makes no notice, and the application's
// role cannot change what a notice says or undo its reading.
func TestNoticesAreOfTheirEvent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.signUp("alice")
	tx, err := h.pool.Begin(t.Context())
	testkit.Must(t, err)
	_, err = tx.Exec(t.Context(), `INSERT INTO security_events (at, user_id, event) VALUES (now(), $1, 'frozen')`, alice.ID)
	testkit.Must(t, err)
	testkit.Must(t, tx.Rollback(t.Context()))
	testkit.Equal(t, "after a rollback", len(h.list(alice, notices.Query{Limit: 1}).Notices), 0)

	h.record(alice, "frozen", 1)
	id := h.list(alice, notices.Query{Limit: 1}).Notices[0].ID
	_, _, err = h.MarkRead(t.Context(), alice.ID, []int64{id})
	testkit.Must(t, err)
	for _, statement := range []string{
		`UPDATE notices SET kind = 'unfrozen'`, `UPDATE notices SET detail = ''`, `UPDATE notices SET user_id = user_id`, `UPDATE notices SET at = now()`,
		`UPDATE notices SET read_at = NULL`, `UPDATE notices SET read_at = now()`, `UPDATE notices SET mail_due = true`, `TRUNCATE notices`,
		`INSERT INTO notices (user_id, source, kind, at, detail) SELECT user_id, 'x', 'frozen', now(), 'x' FROM notices`,
	} {
		if _, err := h.pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("the application may: %s", statement)
		}
	}
}
