package settle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/embedded/redistest"
	"github.com/JDevAman/kizo/server/ledger"
)

// wantAudit is the ledger's own word that nothing is wrong.
func (h *house) wantAudit() {
	h.t.Helper()
	report, err := ledger.Audit(h.t.Context(), h.pool)
	h.must(err)
	if broken, is := report.FirstBroken(); is {
		h.t.Errorf("the audit does not pass: %+v", broken)
	}
}

func (h *house) wantKinds(s *Settler, id uuid.UUID, want ...string) {
	h.t.Helper()
	found, err := s.discrepanciesOf(h.t.Context(), id.String())
	h.must(err)
	var kinds []string
	for _, d := range found {
		kinds = append(kinds, d.Kind)
	}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		h.t.Errorf("discrepancies of %s: %v, want %v", id, kinds, want)
	}
}

func (h *house) logged(s *Settler, id uuid.UUID) string {
	h.t.Helper()
	entries, err := s.Log(h.t.Context(), id)
	h.must(err)
	var what []string
	for _, e := range entries {
		what = append(what, e.What)
	}
	return strings.Join(what, " ")
}

// Every answer to Submit is a lie; none of them moves money, all are found, and
// what was executed is posted once.
func TestLiesAreFound(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	h.weather(sim.Faults{Lies: 1})
	var ids []uuid.UUID
	for range 12 {
		ids = append(ids, h.withdraw(alice, 1_00), h.deposit(alice, 1_00))
	}
	s := h.settler(nil)
	h.janitor(s)
	kinds := map[string]int{}
	for _, id := range ids {
		if got := h.ends(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
		found, err := s.discrepanciesOf(t.Context(), id.String())
		h.must(err)
		if len(found) != 1 {
			t.Errorf("%d discrepancies of %s", len(found), id)
			continue
		}
		kinds[found[0].Kind]++
		if got := h.logged(s, id); got != "contradiction executed" {
			t.Errorf("the log says %q", got)
		}
	}
	if kinds[AnswersDiffer] == 0 || kinds[AmountDiffers] == 0 || len(kinds) != 2 {
		t.Errorf("got %v", kinds)
	}
	if got := count(t, s.config.Metrics.differ.WithLabelValues(AnswersDiffer)); got != float64(kinds[AnswersDiffer]) {
		t.Errorf("%v were counted", got)
	}
	h.wantOneExecution(ids...)
	h.wantWallet(alice, 100_00, 0)
	h.wantAudit()
}

// All the faults at once, then the bank heals: everything ends, the bank's journal
// is the judge.
func TestHell(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(1000_00)
	faults, err := sim.Preset("hell")
	h.must(err)
	faults.HangFor, faults.StallFor, faults.Lies = 400*time.Millisecond, 400*time.Millisecond, 0.3
	h.weather(faults)
	s := h.settler(h.giveUpSoon)
	h.janitor(s)
	var ids []uuid.UUID
	for range 30 {
		ids = append(ids, h.withdraw(alice, 1_00), h.deposit(alice, 1_00))
	}
	testkit.Eventually(t, "some lies", func() bool {
		found, err := s.Discrepancies(t.Context(), 100)
		h.must(err)
		return len(found) >= 3
	})
	h.weather(sim.Faults{RejectDeposits: faults.RejectDeposits, RejectWithdrawals: faults.RejectWithdrawals})
	for _, id := range ids {
		posted := h.ends(alice, id).State == ledger.Posted
		executed, rejected := h.executions(id)
		if executed+rejected != 1 || posted != (executed == 1) {
			t.Errorf("%s: posted %v, the bank executed %d, rejected %d", id, posted, executed, rejected)
		}
	}
	r, err := s.Reconcile(t.Context())
	h.must(err)
	if r.Read != len(ids) || r.Matched != len(ids) || len(r.Found) != 0 {
		t.Errorf("got %+v", r)
	}
	h.wantAudit()
}

func TestOperatorResolves(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	s := h.settler(nil)
	inReview := func() uuid.UUID {
		t.Helper()
		id := h.withdraw(alice, 10_00)
		h.must(s.review(t.Context(), h.claim(s, id), "exhausted", errors.New("nobody answers")))
		return id
	}
	paid, unpaid, asked := inReview(), inReview(), inReview()
	h.wantWallet(alice, 100_00, 30_00)
	page, next, err := s.Payments(t.Context(), ledger.PaymentNeedsReview, "", 2)
	if err != nil || len(page) != 2 || page[0].Transfer != asked || next == "" {
		t.Fatalf("got %+v, %q, %v", page, next, err)
	}
	page, next, err = s.Payments(t.Context(), ledger.PaymentNeedsReview, next, 2)
	if err != nil || len(page) != 1 || page[0].Transfer != paid || next != "" {
		t.Fatalf("got %+v, %q, %v", page, next, err)
	}
	for id, resolution := range map[uuid.UUID]Resolution{paid: ResolveExecuted, unpaid: ResolveRejected, asked: ResolveAsk} {
		if _, err := s.Resolve(t.Context(), id, resolution); err != nil {
			t.Errorf("%s: %v", resolution, err)
		}
		if _, err := s.Resolve(t.Context(), id, resolution); !errors.Is(err, ErrNotInReview) {
			t.Errorf("%s once more: %v", resolution, err)
		}
	}
	if _, err := s.Resolve(t.Context(), uuid.New(), ResolveAsk); !errors.Is(err, ErrNoPayment) {
		t.Errorf("got %v", err)
	}
	h.janitor(s)
	h.ends(alice, asked)
	h.wantOneExecution(asked)
	h.wantWallet(alice, 80_00, 0)
	if got := h.logged(s, unpaid); got != "needs_review rejected" {
		t.Errorf("the log says %q", got)
	}
	h.wantAudit()
}

// callback as the bank would send it.
func (h *house) callback(event string, id uuid.UUID, amount int64, status string) []byte {
	h.t.Helper()
	body, err := json.Marshal(map[string]any{
		"event_id": event, "ref": id, "direction": "withdrawal", "amount": amount, "currency": "USD",
		"status": status, "at": time.Now().UTC().Truncate(time.Second), "bank_ref": "bk-1", "seq": 1,
	})
	h.must(err)
	return body
}

func TestCallback(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	hints := make(chan int, 10)
	s := h.settler(func(c *Config) { c.Enqueue = func(_ uuid.UUID, attempt int) { hints <- attempt } })
	id := h.withdraw(alice, 10_00)
	h.must(s.postpone(t.Context(), h.claim(s, id), time.Hour, reply{what: loggedUnknown, err: errors.New("silence")}))
	body := h.callback("evt-1", id, 10_00, "executed")
	sign := func(body []byte, at time.Time) string { return bank.SignCallback(body, callbackSecret, at) }

	for name, refused := range map[string]struct {
		header string
		body   []byte
		err    error
	}{
		"forged":       {bank.SignCallback(body, []byte("a guess"), time.Now()), body, bank.ErrSignatureWrong},
		"tampered":     {sign(body, time.Now()), h.callback("evt-1", id, 10_01, "executed"), bank.ErrSignatureWrong},
		"stale":        {sign(body, time.Now().Add(-6*time.Minute)), body, bank.ErrSignatureStale},
		"early":        {sign(body, time.Now().Add(6*time.Minute)), body, bank.ErrSignatureStale},
		"not signed":   {"", body, bank.ErrSignatureMalformed},
		"no callback":  {sign([]byte("{}"), time.Now()), []byte("{}"), ErrCallbackBody},
		"without JSON": {sign(nil, time.Now()), nil, ErrCallbackBody},
	} {
		if err := s.Callback(t.Context(), refused.header, refused.body); !errors.Is(err, refused.err) {
			t.Errorf("%s: got %v, want %v", name, err, refused.err)
		}
	}
	if p := h.payment(id); p.due || len(hints) != 0 {
		t.Errorf("a callback that is not believed did something: %+v", p)
	}
	none := h.settler(func(c *Config) { c.CallbackSecret = nil })
	if err := none.Callback(t.Context(), bank.SignCallback(body, nil, time.Now()), body); !errors.Is(err, bank.ErrSignatureWrong) {
		t.Errorf("without a secret: %v", err)
	}

	h.must(s.Callback(t.Context(), sign(body, time.Now()), body))
	if p := h.payment(id); !p.due || p.state != ledger.PaymentUnknown {
		t.Errorf("it decides nothing and makes the payment due, not %+v", p)
	}
	if attempt := testkit.Receive(t, "a hint", hints); attempt != 2 {
		t.Errorf("the hint is for attempt %d", attempt)
	}
	h.must(s.postpone(t.Context(), h.claim(s, id), time.Hour, reply{what: loggedUnknown, err: errors.New("silence")}))
	h.must(s.Callback(t.Context(), sign(body, time.Now()), body)) // replayed
	if p := h.payment(id); p.due || len(hints) != 0 {
		t.Errorf("the same event did something again: %+v", p)
	}
	stranger := h.callback("evt-9", uuid.New(), 1, "executed")
	h.must(s.Callback(t.Context(), sign(stranger, time.Now()), stranger))

	// The bank itself says executed; a callback that says otherwise is told of.
	lie := h.callback("evt-2", id, 10_00, "rejected")
	h.must(s.Callback(t.Context(), sign(lie, time.Now()), lie))
	h.janitor(s)
	h.ends(alice, id)
	h.wantKinds(s, id)
	late := h.callback("evt-3", id, 10_00, "rejected")
	h.must(s.Callback(t.Context(), sign(late, time.Now()), late))
	h.wantKinds(s, id, CallbackDiffers)
	h.must(s.pruneCallbacks(t.Context()))
}

// What the bank executed after it was settled as rejected, and the other way round,
// is found on its statement and booked to suspense, once.
func TestReconcileBooksSuspense(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	s := h.settler(nil)
	submit := func(id uuid.UUID, direction bank.Direction, amount int64) {
		t.Helper()
		_, err := h.client.Submit(t.Context(), bank.Instruction{Ref: id.String(), Direction: direction, Amount: amount, Currency: "USD"})
		h.must(err)
	}
	settled := func(id uuid.UUID, executed bool) {
		t.Helper()
		_, err := h.Settle(t.Context(), ledger.Settlement{Transfer: id, Executed: executed})
		h.must(err)
	}
	paid, fetched, open, stranger := h.withdraw(alice, 10_00), h.deposit(alice, 5_00), h.withdraw(alice, 1_00), uuid.New()
	settled(paid, false)
	settled(fetched, false)
	submit(paid, bank.Withdrawal, 10_00)
	submit(fetched, bank.Deposit, 5_00)
	submit(open, bank.Withdrawal, 1_00)
	submit(stranger, bank.Deposit, 3)
	h.weather(sim.Faults{RejectWithdrawals: 1})
	unpaid := h.withdraw(alice, 2_00)
	settled(unpaid, true)
	submit(unpaid, bank.Withdrawal, 2_00)
	other := h.withdraw(alice, 4_00)
	settled(other, true)
	h.weather(sim.Faults{})
	submit(other, bank.Withdrawal, 4_01)

	r, err := s.Reconcile(t.Context())
	h.must(err)
	if r.Read != 6 || r.Open != 1 || r.Matched != 0 || len(r.Found) != 5 {
		t.Errorf("got %+v", r)
	}
	h.wantKinds(s, paid, ExecutedNotPosted)
	h.wantKinds(s, fetched, ExecutedNotPosted)
	h.wantKinds(s, unpaid, PostedNotExecuted)
	h.wantKinds(s, other, AmountDiffers)
	h.wantKinds(s, stranger, UnknownRef)
	h.wantKinds(s, open)
	var suspense int64
	h.must(h.pool.QueryRow(t.Context(), `SELECT balance FROM accounts WHERE kind = 'suspense'`).Scan(&suspense))
	// Its own account tells what the clearing account would otherwise lack.
	if suspense != -10_00+5_00+2_00+3+4_00-4_01 {
		t.Errorf("suspense holds %d", suspense)
	}
	again, err := s.Reconcile(t.Context())
	h.must(err)
	if again.Read != 0 || len(again.Found) != 0 {
		t.Errorf("found again: %+v", again)
	}
	h.janitor(s)
	h.ends(alice, open)
	if r, err = s.Reconcile(t.Context()); err != nil || r.Matched != 1 || r.Open != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	h.wantAudit()
}

// The bank did another amount than it was asked for, and stands by it. That is told
// at once, and booked when an operator has decided about our side.
func TestAnotherAmountWaitsForTheOperator(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	s := h.settler(func(c *Config) { c.MaxAttempts = 1 })
	id := h.withdraw(alice, 10_00)
	_, err := h.client.Submit(t.Context(), bank.Instruction{Ref: id.String(), Direction: bank.Withdrawal, Amount: 9_00, Currency: "USD"})
	h.must(err)
	_, _, err = s.SettleOne(t.Context(), id)
	h.must(err)
	h.becomes(id, ledger.PaymentNeedsReview)
	for range 2 {
		r, err := s.Reconcile(t.Context())
		h.must(err)
		if r.Open != 1 {
			t.Errorf("got %+v", r)
		}
	}
	h.wantKinds(s, id, AnswersDiffer, AmountDiffers)
	h.wantWallet(alice, 100_00, 10_00)

	_, err = s.Resolve(t.Context(), id, ResolveRejected)
	h.must(err)
	for range 2 {
		r, err := s.Reconcile(t.Context())
		h.must(err)
		if r.Open != 0 {
			t.Errorf("got %+v", r)
		}
	}
	h.wantWallet(alice, 100_00, 0)
	var suspense int64
	h.must(h.pool.QueryRow(t.Context(), `SELECT balance FROM accounts WHERE kind = 'suspense'`).Scan(&suspense))
	if suspense != -9_00 {
		t.Errorf("suspense holds %d", suspense)
	}
	h.wantAudit()
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := &breaker{after: 2, metrics: NewMetrics(), now: func() time.Time { return now }}
	silence := &bank.Error{Code: bank.CodeTransport}
	step := func(err error) {
		t.Helper()
		if !b.admit() {
			t.Fatal("it is open")
		}
		b.report(t.Context(), err)
	}
	step(silence)
	step(nil)
	step(silence)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	b.report(gone, silence)
	step(&bank.Error{Code: bank.CodeHTTPStatus})
	step(silence)
	step(silence)
	if b.admit() {
		t.Error("it is closed after two failures in a row")
	}
	now = now.Add(probeEvery)
	if !b.admit() || b.admit() {
		t.Error("one may probe, and one only")
	}
	b.report(t.Context(), silence)
	if b.admit() {
		t.Error("a probe in vain closed it")
	}
	now = now.Add(probeEvery)
	step(nil)
	step(nil)
}

// With the breaker open nothing is claimed, and no attempt is used up: what is due
// stays due, and is driven when the bank is back.
func TestOpenBreakerLeavesPaymentsDue(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	var asked atomic.Int64
	h.inFront(func(http.ResponseWriter, *http.Request, http.Handler) { asked.Add(1); panic(http.ErrAbortHandler) })
	s := h.settler(func(c *Config) { c.BreakerAfter = 1 })
	now := time.Now()
	s.breaker.now = func() time.Time { return now } // it stands still: nobody may probe
	first, second := h.withdraw(alice, 1_00), h.withdraw(alice, 1_00)
	if again, _, err := s.SettleOne(t.Context(), first); err != nil || again == 0 {
		t.Fatalf("again in %v, %v", again, err)
	}
	if again, _, err := s.SettleOne(t.Context(), second); err != nil || again != 0 {
		t.Errorf("again in %v, %v", again, err)
	}
	j := NewJanitor(s)
	h.must(j.redrive(t.Context()))
	// The error says what is wrong with the bank, though it is not asked now.
	if err := j.lookAtStatement(t.Context()); !errors.Is(err, errBankAway) || !errors.Is(err, bank.CodeTransport) && !errors.Is(err, bank.CodeTimeout) {
		t.Errorf("the statement was asked for: %v", err)
	}
	j.Wait()
	if p := h.payment(second); p.leased || !p.due || p.attempts != 0 || asked.Load() != 1 {
		t.Errorf("got %+v after %d calls", p, asked.Load())
	}
	if count(t, s.config.Metrics.breaker) != 1 {
		t.Error("the gauge does not tell")
	}

	h.front.Store(nil)
	s.breaker.now = time.Now
	h.janitor(s)
	h.ends(alice, first)
	h.ends(alice, second)
	h.wantOneExecution(first, second)
	if count(t, s.config.Metrics.breaker) != 0 {
		t.Error("it is still open")
	}
}

// The bank answers Submit with a lie, and the line is cut before it can be asked
// again. What it answered is kept, so that the lie is known when the truth comes.
func TestLieIsKeptUntilItCanBeCompared(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	h.weather(sim.Faults{Lies: 1})
	h.inFront(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
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
	h.front.Store(nil)
	h.janitor(s)
	for _, id := range ids {
		h.ends(alice, id)
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

func TestExplain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	s := h.settler(func(c *Config) { c.MaxAttempts, c.MaxAge, c.FirstDelay = 3, time.Nanosecond, time.Hour })
	id := h.deposit(alice, 5_00)
	names := func(context.Context, []uuid.UUID) (map[uuid.UUID]string, error) {
		return map[uuid.UUID]string{alice: "@alice"}, nil
	}
	tells := func(waitsFor, next string, lines ...string) {
		t.Helper()
		timeline, err := s.Explain(t.Context(), h.transfer(alice, id), names)
		h.must(err)
		if !strings.Contains(timeline.WaitsFor, waitsFor) || !strings.Contains(timeline.Next, next) {
			t.Errorf("it waits for %q, next is %q; want %q, %q", timeline.WaitsFor, timeline.Next, waitsFor, next)
		}
		all := fmt.Sprint(timeline.Entries)
		for _, line := range lines {
			if !strings.Contains(all, line) {
				t.Errorf("no %q in %s", line, all)
			}
		}
	}
	tells("its next attempt", "a worker", "accepted as a deposit of", "before the bank was asked")
	c := h.claim(s, id)
	tells("the bank's answer to attempt 1", "the worker that holds it")
	h.must(s.postpone(t.Context(), c, 0, reply{what: loggedUnknown, err: errors.New("a timeout")}))
	tells("its next attempt", "a worker", "attempt 1: no answer that could be believed", "a timeout")
	h.must(s.review(t.Context(), h.claim(s, id), "exhausted", errors.New("silence")))
	tells("an operator's decision", "kizo ops payments resolve "+id.String(), "given to an operator")
	_, err := s.Resolve(t.Context(), id, ResolveAsk)
	h.must(err)
	_, _, err = s.SettleOne(t.Context(), id)
	h.must(err)
	tells("nothing", "nobody", "attempt 3: the bank executed it", "posted: 5.00 USD left the bank", "reached @alice")

	h.weather(sim.Faults{RejectDeposits: 1})
	id = h.deposit(alice, 5_00)
	_, _, err = s.SettleOne(t.Context(), id)
	h.must(err)
	tells("nothing", "nobody", "attempt 1: the bank rejected it", "voided: bank_rejected")
	h.wantActor(s, id, EntryVoided, Actor{Role: RoleBank})

	id = h.deposit(alice, 5_00)
	h.must(s.review(t.Context(), h.claim(s, id), "exhausted", errors.New("silence")))
	_, err = s.Resolve(t.Context(), id, ResolveRejected)
	h.must(err)
	tells("nothing", "nobody", "an operator decided that the bank rejected it", "voided: bank_rejected")
	h.wantActor(s, id, EntryVoided, Actor{Role: RoleOperator})
}

// wantActor checks who did the last thing of a type to a transfer.
func (h *house) wantActor(s *Settler, transfer uuid.UUID, what EntryType, want Actor) {
	h.t.Helper()
	t, err := s.ledger.Get(h.t.Context(), transfer)
	h.must(err)
	timeline, err := s.Explain(h.t.Context(), t, func(context.Context, []uuid.UUID) (map[uuid.UUID]string, error) { return nil, nil })
	h.must(err)
	for _, line := range slices.Backward(timeline.Entries) {
		if line.Type == what {
			if line.Actor != want {
				h.t.Errorf("%s by %+v, want %+v", what, line.Actor, want)
			}
			return
		}
	}
	h.t.Errorf("no line is %s", what)
}

func TestQueues(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	opt := redisOpt(redistest.New(t))
	q := NewQueues(opt)
	t.Cleanup(func() { h.must(q.Close()) })
	if stats, err := q.Stats(); err != nil || len(stats) != 1 || stats[0].Name != Queue {
		t.Fatalf("got %+v, %v", stats, err)
	}
	alice := h.user(0)
	id := h.deposit(alice, 1_00)
	d, stop := h.dispatcher(opt)
	d.Enqueue(id)
	testkit.Eventually(t, "the task is there", func() bool {
		tasks, err := q.Tasks(Queue, "", 10)
		h.must(err)
		return len(tasks) == 1 && tasks[0].Transfer == id
	})
	stop()
	h.must(q.Pause(Queue))
	h.must(q.Pause(Queue))
	if stats, err := q.Stats(); err != nil || !stats[0].Paused || stats[0].Pending != 1 {
		t.Errorf("got %+v, %v", stats, err)
	}
	h.must(q.Resume(Queue))
	task := id.String() + ":1"
	for name, got := range map[string]struct{ err, want error }{
		"another queue":  {q.Pause("other"), ErrNoQueue},
		"no such task":   {q.Act(Queue, "x", "delete"), ErrNoTask},
		"no such action": {q.Act(Queue, task, "eat"), ErrTaskAction},
		"pending now":    {q.Act(Queue, task, "retry"), ErrTaskBusy},
	} {
		if !errors.Is(got.err, got.want) {
			t.Errorf("%s: %v, want %v", name, got.err, got.want)
		}
	}
	if _, err := q.Tasks(Queue, "lost", 1); !errors.Is(err, ErrTaskState) {
		t.Errorf("got %v", err)
	}
	h.must(q.Act(Queue, task, "archive"))
	h.must(q.Act(Queue, task, "retry"))
	h.must(q.Act(Queue, task, "delete"))
	away := NewQueues(noRedis)
	t.Cleanup(func() { _ = away.Close() })
	if _, err := away.Stats(); !errors.Is(err, ErrQueueIsAway) {
		t.Errorf("got %v", err)
	}
}
