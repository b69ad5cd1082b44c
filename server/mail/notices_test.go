package mail

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/notices"
)

// noticesHarness has a worker that mails notices.
type noticesHarness struct {
	*harness
	pool *pgxpool.Pool // as the owner of the tables
}

func newNoticesHarness(t testing.TB, m *mailServer) *noticesHarness {
	t.Helper()
	h := &noticesHarness{harness: newHarness(t)}
	app, err := pgxpool.New(t.Context(), h.db.AppURL)
	testkit.Must(t, err)
	t.Cleanup(app.Close)
	h.pool, err = pgxpool.New(t.Context(), h.db.AdminURL)
	testkit.Must(t, err)
	t.Cleanup(h.pool.Close)
	h.worker(m.sender(), func(c *WorkerConfig) {
		c.Notices, c.Enqueue, c.NoticesInterval = notices.New(app), h.queue.Enqueue, 50*time.Millisecond
	})
	return h
}

func (h *noticesHarness) exec(sql string, args ...any) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), sql, args...)
	testkit.Must(h.t, err)
}

// later ends the pause after the last mail.
func (h *noticesHarness) later() {
	h.t.Helper()
	h.exec(`ALTER TABLE notices DISABLE TRIGGER USER; UPDATE notices SET mailed_at = mailed_at - interval '1 hour';
		ALTER TABLE notices ENABLE TRIGGER USER`)
}

// due counts the notices that wait for a mail.
func (h *noticesHarness) due() (n int) {
	h.t.Helper()
	testkit.Must(h.t, h.pool.QueryRow(h.t.Context(), `SELECT count(*) FROM notices WHERE mail_due`).Scan(&n))
	return n
}

const evilClient = "Your account is locked: https://evil.example/verify\r\nBcc: all@example.com"

// TestNoticesAreMailed: a notice is mailed to the verified address, with what to do and without
// text of the client, which could be a link; those of the next minutes come together; nothing is
// mailed to an address that is not verified.
func TestNoticesAreMailed(t *testing.T) {
	t.Parallel()
	m := serveMail(t, false)
	h := newNoticesHarness(t, m)
	h.signUp("ada")
	_, _, err := h.auth.SignUp(t.Context(), auth.SignUpInput{Email: "eve@example.com", Handle: "eve", Name: "Eve", Password: userPassword})
	testkit.Must(t, err)
	for _, who := range []string{"eve", "ada"} {
		_, _, err := h.auth.LogIn(t.Context(), who, userPassword, "", auth.Client{UserAgent: evilClient, Address: "203.0.113.9"})
		testkit.Must(t, err)
	}
	first := testkit.Receive(t, "the first mail", m.received)
	testkit.Contains(t, first, "To: <ada@example.com>", "Subject: A new device signed in to your account", "203.0.113.9", "kizo freeze-me", "kizo notices")
	if strings.Contains(first, "evil") || strings.Contains(first, "Bcc") {
		t.Errorf("the mail repeats what the client says about itself:\n%s", first)
	}
	testkit.Eventually(t, "the notice is mailed", func() bool { return h.due() == 0 })

	h.exec(`INSERT INTO security_events (at, user_id, event, detail) SELECT now(), id, 'key_created', 'key ' || n || ' https://evil.example' FROM users, generate_series(1, 30) n`)
	testkit.Equal(t, "waiting", h.due(), 30)
	h.later()
	second := testkit.Receive(t, "the second mail", m.received)
	testkit.Contains(t, second, "Subject: 30 notices about your Kizo account", "There are 10 more.")
	testkit.Equal(t, "described", strings.Count(second, "An API key was created"), 20)
	testkit.Equal(t, "links", strings.Contains(second, "evil"), false)
	testkit.Eventually(t, "all are mailed", func() bool { return h.due() == 0 })
	testkit.Equal(t, "mails", h.counted(Notices, resultSent), 2)

	// A notice that is a day old is no longer mailed.
	h.exec(`INSERT INTO security_events (at, user_id, event) SELECT now() - interval '25 hours', id, 'key_created' FROM users`)
	h.later()
	testkit.Eventually(t, "the old notice is not due", func() bool { return h.due() == 0 })
	testkit.Equal(t, "mails", h.counted(Notices, resultSent), 2)
}

// TestRejectedNoticesEnd: a mail server that rejects the address is not asked again for the same
// notices, and they stay in the inbox; one that fails is.
func TestRejectedNoticesEnd(t *testing.T) {
	t.Parallel()
	m := serveMail(t, false)
	h := newNoticesHarness(t, m)
	h.signUp("ada")
	attempts := make(chan string, 16)
	m.answer = func(to, _ string) error {
		attempts <- to
		if h.counted(Notices, resultFailed) == 0 {
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.NoEnhancedCode, Message: "later"}
		}
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.NoEnhancedCode, Message: "no such user"}
	}
	h.exec(`INSERT INTO security_events (at, user_id, event) SELECT now(), id, 'key_created' FROM users`)
	testkit.Receive(t, "the attempt that fails", attempts)
	testkit.Equal(t, "due after a failure", h.due(), 1)
	testkit.Receive(t, "the attempt that is rejected", attempts)
	testkit.Eventually(t, "the notice is not due", func() bool { return h.due() == 0 })
	testkit.Equal(t, "rejected", h.counted(Notices, resultRejected), 1)
}

// TestEachNoticeCanBeMailed: a mail about each kind of notice is one that a Sender takes, says what
// happened and what to do, and has no link but the commands of kizo.
func TestEachNoticeCanBeMailed(t *testing.T) {
	t.Parallel()
	box, err := NewMailbox(t.TempDir())
	testkit.Must(t, err)
	link := regexp.MustCompile(`://|www\.|[a-z]\.[a-z]{2,}`)
	all := []notices.Notice{
		{Kind: notices.FirstPayment, Payment: &notices.Payment{Amount: 1250, Currency: "USD", Payee: "bob"}},
		{Kind: notices.LargePayment, Payment: &notices.Payment{Amount: 1250, Currency: "USD"}},
		{Kind: "of a later version"},
	}
	for event := range notices.SecurityNotices {
		all = append(all, notices.Notice{Kind: notices.Kind(event)})
	}
	for _, n := range all {
		n.At, n.Address, n.Client, n.Detail = time.Now(), "203.0.113.9", evilClient, "www.evil.example"
		mail := noticesMail(notices.Digest{Email: "ada@example.com", Handle: "ada", Notices: []notices.Notice{n}})
		testkit.Must(t, box.Send(t.Context(), mail))
		testkit.Contains(t, mail.Body, n.Title(), n.Advice(), "203.0.113.9")
		testkit.Equal(t, "subject", mail.Subject, n.Title())
		if found := link.FindString(mail.Body); found != "" {
			t.Errorf("%s: the mail has a link at %q:\n%s", n.Kind, found, mail.Body)
		}
	}
	for detail, safe := range map[string]bool{
		"payroll": true, "USD 5.00 per day": true, "@alice to @bob": true, "3 left": true,
		"": false, "evil.example": false, "a/b": false, "5.example": false, "x.5": false, "новый": false, "a\x1bb": false,
	} {
		testkit.Equal(t, detail, safeDetail.MatchString(detail), safe)
	}
}
