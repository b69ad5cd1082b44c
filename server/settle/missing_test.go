package settle

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/bank"
)

// forgetful is a bank whose statement lacks some lines, for as long as they are hidden.
type forgetful struct {
	bank.Bank
	hidden func(ref string) bool
}

func (f *forgetful) Statement(ctx context.Context, after int64, limit int) (bank.Page, error) {
	page, err := f.Bank.Statement(ctx, after, limit)
	page.Entries = slices.DeleteFunc(page.Entries, func(e bank.Entry) bool { return f.hidden(e.Ref) })
	return page, err
}

// confirmed is a payment that the bank has executed.
func (h *house) confirmed(s *Settler, owner uuid.UUID) uuid.UUID {
	h.t.Helper()
	id := h.deposit(owner, 1_00)
	_, _, err := s.SettleOne(h.t.Context(), id)
	h.must(err)
	h.ends(owner, id)
	return id
}

func (h *house) reconcile(s *Settler) Reconciliation {
	h.t.Helper()
	r, err := s.Reconcile(h.t.Context())
	h.must(err)
	return r
}

// clockJumps is what PostgreSQL's clock going ahead does to what it has written before.
func (h *house) clockJumps(by time.Duration) {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), h.db.AdminURL)
	h.must(err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(h.t.Context(), `UPDATE payments SET updated_at = updated_at - $1::interval`, by)
	h.must(err)
}

// TestClockJumpMakesNoDiscrepancy: the database's clock jumps ahead by an hour, while the statement
// lags behind the confirmation of a payment by a moment.
func TestClockJumpMakesNoDiscrepancy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	lagging := ""
	s := h.settler(func(c *Config) {
		c.Bank = &forgetful{c.Bank, func(ref string) bool { return ref == lagging }}
	})
	lagging = h.confirmed(s, alice).String()
	h.clockJumps(time.Hour)
	h.confirmed(s, alice) // after the jump, and with a line
	for range 2 {
		if r := h.reconcile(s); len(r.Found) != 0 {
			t.Errorf("got %+v", r)
		}
	}
}

// TestConfirmedWhileTheStatementIsRead: what is confirmed after a look began is not missing in
// that look, however short a lag is allowed.
func TestConfirmedWhileTheStatementIsRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	var s *Settler
	during := func(string) bool { return false }
	s = h.settler(func(c *Config) {
		c.StatementLag = -1
		c.Bank = &forgetful{c.Bank, func(ref string) bool { return during(ref) }}
	})
	h.confirmed(s, alice)
	var hidden string
	during = func(ref string) bool {
		if hidden == "" {
			hidden = h.confirmed(s, alice).String()
		}
		return ref == hidden
	}
	if r := h.reconcile(s); len(r.Found) != 0 {
		t.Errorf("got %+v", r)
	}
	during = func(string) bool { return false }
	if r := h.reconcile(s); len(r.Found) != 0 || r.Read != 1 {
		t.Errorf("got %+v", r)
	}
}

// TestMissingLine: a line that never comes is a discrepancy, once and as soon as the lag is
// over; should it come after all, the discrepancy is closed and no longer counts.
func TestMissingLine(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	lagging := ""
	s := h.settler(func(c *Config) {
		c.StatementLag = 50 * time.Millisecond
		c.Bank = &forgetful{c.Bank, func(ref string) bool { return ref == lagging }}
	})
	id := h.confirmed(s, alice)
	lagging = id.String()
	if r := h.reconcile(s); len(r.Found) != 0 {
		t.Errorf("at the first look, got %+v", r)
	}
	open := func() int {
		f, err := s.Findings(t.Context())
		h.must(err)
		return f.Discrepancies
	}
	before := open()
	var r Reconciliation
	testkit.Eventually(t, "it is found", func() bool {
		r = h.reconcile(s)
		return len(r.Found) > 0
	})
	if d := r.Found[0]; len(r.Found) != 1 || d.Kind != MissingAtBank || d.Transfer != id || open() != before+1 {
		t.Errorf("got %+v", r)
	}
	if r := h.reconcile(s); len(r.Found) != 0 {
		t.Errorf("found again: %+v", r)
	}
	lagging = ""
	if r := h.reconcile(s); r.Closed != 1 || open() != before {
		t.Errorf("got %+v, %d are open", r, open())
	}
	if r := h.reconcile(s); r.Closed != 0 || len(r.Found) != 0 {
		t.Errorf("closed again: %+v", r)
	}
	found, err := s.Discrepancies(t.Context(), 10)
	h.must(err)
	if len(found) == 0 || found[0].ClosedAt.IsZero() {
		t.Errorf("got %+v", found)
	}
	h.wantAudit()
}
