package settle

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/ledger"
)

// The bank executes a payment, but its answer is lost. The hold is kept, and the next attempt
// learns the outcome from Status, without a second payment.
func TestExecutedThenSilence(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	h.setFaults(sim.Faults{CutAfter: 1, StallFor: time.Hour})
	out := h.withdraw(alice, 30_00)
	s := h.settler(h.withShortTimeout)

	retryIn, attempt, err := s.SettleOne(t.Context(), out)
	if err != nil || retryIn <= 0 || attempt != 2 {
		t.Fatalf("retry in %v as attempt %d, %v", retryIn, attempt, err)
	}
	if p := h.payment(out); p.state != ledger.PaymentUnknown || p.leased || p.lastError == "" {
		t.Errorf("got %+v", p)
	}
	if got := h.transfer(alice, out); got.State != ledger.Pending {
		t.Errorf("an unknown outcome ended the transfer: %+v", got)
	}
	h.wantWallet(alice, 100_00, 30_00)
	h.wantOneExecution(out)

	h.setFaults(sim.Faults{})
	h.janitor(s)
	if got := h.waitForEnd(alice, out); got.State != ledger.Posted {
		t.Errorf("got %+v", got)
	}
	h.wantWallet(alice, 70_00, 0)
	h.wantOneExecution(out)
	if n := h.calls.submits.Load(); n != 1 {
		t.Errorf("submitted %d times; Status knew the outcome", n)
	}
}

// A 404 is no rejection: an earlier request may still arrive.
func TestNotSeenIsNoRejection(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	onItsWay, arrive, arrived := make(chan struct{}), make(chan struct{}), make(chan struct{})
	h.intercept(func(_ http.ResponseWriter, r *http.Request, bank http.Handler) {
		defer close(arrived)
		kept := detach(r)
		close(onItsWay)
		<-arrive
		bank.ServeHTTP(httptest.NewRecorder(), kept)
	})
	out := h.withdraw(alice, 30_00)
	s := h.settler(h.withShortTimeout)
	if _, _, err := s.SettleOne(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	testkit.Receive(t, "the request is on its way", onItsWay)

	// The bank has not seen the reference, and refuses to take it again: the outcome stays unknown.
	h.intercept(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		bank.ServeHTTP(w, r)
	})
	stop := h.janitor(s)
	testkit.Eventually(t, "three requests for the status", func() bool { return h.calls.statuses.Load() >= 3 })
	stop()
	if got := h.transfer(alice, out); got.State != ledger.Pending {
		t.Fatalf("a 404 ended the transfer: %+v", got)
	}
	h.wantWallet(alice, 100_00, 30_00)

	// The first request arrives while the same reference is submitted again.
	h.interceptor.Store(nil)
	h.janitor(s)
	close(arrive)
	if got := h.waitForEnd(alice, out); got.State != ledger.Posted {
		t.Errorf("got %+v", got)
	}
	testkit.Receive(t, "the request arrives", arrived)
	h.wantOneExecution(out)
	h.wantWallet(alice, 70_00, 0)
}

// The reference is committed before the bank is asked, and two payments cannot have the same one.
func TestReferenceIsStoredBeforeTheBankIsAsked(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	owner, err := pgx.Connect(t.Context(), h.db.AdminURL)
	h.must(err)
	t.Cleanup(func() { _ = owner.Close(noCancel{t.Context()}) })
	stored := make(chan string, 1)
	h.intercept(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		var ref string // read by another connection: it is committed
		_ = h.pool.QueryRow(r.Context(), `SELECT external_ref FROM payments WHERE amount = 501 AND state = 'unknown' AND lease_until IS NOT NULL`).Scan(&ref)
		stored <- ref
		bank.ServeHTTP(w, r)
	})
	id, other := h.deposit(alice, 501), h.deposit(alice, 502)
	s := h.settler(nil)
	if _, _, err := s.SettleOne(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if ref := testkit.Receive(t, "the bank is asked", stored); ref != id.String() {
		t.Errorf("while the bank was asked, the ref %q was stored", ref)
	}
	h.wantOneExecution(id)
	_, err = owner.Exec(t.Context(), `UPDATE payments SET external_ref = $1 WHERE transfer_id = $2`, id.String(), other)
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "23505" {
		t.Errorf("two payments may have the same reference: %v", err)
	}
}

// If every answer to Submit is wrong, none of them moves money, each is recorded as a
// discrepancy, and each payment is posted once.
func TestLiesAreFound(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	h.setFaults(sim.Faults{Lies: 1})
	var ids []uuid.UUID
	for range 12 {
		ids = append(ids, h.withdraw(alice, 1_00), h.deposit(alice, 1_00))
	}
	s := h.settler(nil)
	h.janitor(s)
	kinds := map[string]int{}
	for _, id := range ids {
		if got := h.waitForEnd(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
		found, err := s.discrepanciesOf(t.Context(), id.String())
		h.must(err)
		if len(found) != 1 {
			t.Errorf("%d discrepancies of %s", len(found), id)
			continue
		}
		kinds[found[0].Kind]++
		if got := h.logKinds(s, id); got != "contradiction executed" {
			t.Errorf("the log says %q", got)
		}
	}
	if kinds[AnswersDiffer] == 0 || kinds[AmountDiffers] == 0 || len(kinds) != 2 {
		t.Errorf("got %v", kinds)
	}
	if got := count(t, s.config.Metrics.discrepancies.WithLabelValues(AnswersDiffer)); got != float64(kinds[AnswersDiffer]) {
		t.Errorf("%v were counted", got)
	}
	h.wantOneExecution(ids...)
	h.wantWallet(alice, 100_00, 0)
	h.wantAudit()
}

// The answer to Submit is wrong, and the connection breaks before Status can confirm it. The
// answer is stored, so that the contradiction is recorded when Status answers.
func TestLieIsKeptUntilItCanBeCompared(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	h.setFaults(sim.Faults{Lies: 1})
	h.intercept(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		if r.Method == http.MethodGet {
			panic(http.ErrAbortHandler)
		}
		bank.ServeHTTP(w, r)
	})
	s := h.settler(nil)
	opposite := 0
	var ids []uuid.UUID
	for range 8 {
		id := h.withdraw(alice, 1_00)
		_, _, err := s.SettleOne(t.Context(), id)
		h.must(err)
		ids = append(ids, id)
	}
	h.interceptor.Store(nil)
	h.janitor(s)
	for _, id := range ids {
		h.waitForEnd(alice, id)
		found, err := s.discrepanciesOf(t.Context(), id.String())
		h.must(err)
		if len(found) != 1 {
			t.Errorf("%d discrepancies of %s", len(found), id)
		} else if found[0].Kind == AnswersDiffer {
			opposite++
		}
	}
	if opposite == 0 {
		t.Error("no answer was the opposite")
	}
	h.wantOneExecution(ids...)
}

// An answer that contradicts a settled payment changes nothing and is counted.
func TestContradictionAfterSettlement(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	id := h.withdraw(alice, 30_00)
	s := h.settler(nil)
	c := h.claim(s, id)
	h.must(s.finish(t.Context(), c, bank.Answer{Outcome: bank.Executed}))
	h.must(s.finish(t.Context(), c, bank.Answer{Outcome: bank.Executed})) // the same answer again
	h.must(s.finish(t.Context(), c, bank.Answer{Outcome: bank.Rejected}))
	if got := h.transfer(alice, id); got.State != ledger.Posted {
		t.Errorf("got %+v", got)
	}
	h.wantWallet(alice, 70_00, 0)
	if got := count(t, s.config.Metrics.reviews.WithLabelValues(string(ledger.SettlementConflicts))); got != 1 {
		t.Errorf("%v conflicts were counted", got)
	}
}

// A panic while the bank is asked ends the attempt and nothing else.
func TestPanicIsAnAttempt(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	in := h.deposit(alice, 5_00)
	s := h.settler(func(c *Config) { c.Bank = nil })
	if retryIn, _, err := s.SettleOne(t.Context(), in); err != nil || retryIn <= 0 {
		t.Fatalf("retry in %v, %v", retryIn, err)
	}
	if p := h.payment(in); p.state != ledger.PaymentUnknown || p.leased || !strings.Contains(p.lastError, "panic") {
		t.Errorf("got %+v", p)
	}
}
