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
	"github.com/JDevAman/kizo/server/ledger"
)

// laggingBank is a bank whose statement lacks the lines for which hidden is true.
type laggingBank struct {
	bank.Bank
	hidden func(ref string) bool
}

func (f *laggingBank) Statement(ctx context.Context, after int64, limit int) (bank.StatementPage, error) {
	page, err := f.Bank.Statement(ctx, after, limit)
	page.Lines = slices.DeleteFunc(page.Lines, func(e bank.StatementLine) bool { return f.hidden(e.Ref) })
	return page, err
}

// confirmed creates a payment that the bank has executed.
func (h *harness) confirmed(s *Settler, owner ledger.UserID) uuid.UUID {
	h.t.Helper()
	id := h.deposit(owner, 1_00)
	_, _, err := s.SettleOne(h.t.Context(), id)
	h.must(err)
	h.waitForEnd(owner, id)
	return id
}

func (h *harness) reconcile(s *Settler) Reconciliation {
	h.t.Helper()
	r, err := s.Reconcile(h.t.Context())
	h.must(err)
	return r
}

// clockJumps has the same effect on stored rows as a clock of PostgreSQL that jumps ahead.
func (h *harness) clockJumps(by time.Duration) {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), h.db.AdminURL)
	h.must(err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(h.t.Context(), `UPDATE payments SET updated_at = updated_at - $1::interval`, by)
	h.must(err)
}

// A clock of the database that jumps ahead by an hour causes no discrepancy while the statement
// lags a moment behind the confirmation of a payment.
func TestClockJumpMakesNoDiscrepancy(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	lagging := ""
	s := h.settler(func(c *Config) {
		c.Bank = &laggingBank{c.Bank, func(ref string) bool { return ref == lagging }}
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

// A payment that is confirmed after a reconciliation began is not missing in that reconciliation,
// however short the allowed lag is.
func TestConfirmedWhileTheStatementIsRead(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	var s *Settler
	during := func(string) bool { return false }
	s = h.settler(func(c *Config) {
		c.StatementLag = -1
		c.Bank = &laggingBank{c.Bank, func(ref string) bool { return during(ref) }}
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

// A line that does not arrive within the lag is a discrepancy, recorded once. If the line arrives
// later, the discrepancy is closed and no longer counted.
func TestMissingLine(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	lagging := ""
	s := h.settler(func(c *Config) {
		c.StatementLag = 50 * time.Millisecond
		c.Bank = &laggingBank{c.Bank, func(ref string) bool { return ref == lagging }}
	})
	id := h.confirmed(s, alice)
	lagging = id.String()
	if r := h.reconcile(s); len(r.Found) != 0 {
		t.Errorf("at the first reconciliation, got %+v", r)
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
