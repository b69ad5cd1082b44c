package settle

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/ledger"
)

// callback returns the body of a callback as the bank sends it.
func (h *harness) callback(event string, id uuid.UUID, amount int64, status string) []byte {
	h.t.Helper()
	body, err := json.Marshal(map[string]any{
		"event_id": event, "ref": id, "direction": "withdrawal", "amount": amount, "currency": "USD",
		"status": status, "at": time.Now().UTC().Truncate(time.Second), "bank_ref": "bk-1", "seq": 1,
	})
	h.must(err)
	return body
}

// A callback makes the payment due once for each event. One that is forged or old does nothing, and
// one that contradicts a settled payment is recorded.
func TestCallback(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	tasks := make(chan int, 10)
	s := h.settler(func(c *Config) { c.Enqueue = func(_ uuid.UUID, attempt int) { tasks <- attempt } })
	id := h.withdraw(alice, 10_00)
	h.must(s.postpone(t.Context(), h.claim(s, id), time.Hour, attemptResult{kind: logUnknown, err: errors.New("silence")}))
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
	if p := h.payment(id); p.due || len(tasks) != 0 {
		t.Errorf("a callback that was refused had an effect: %+v", p)
	}
	none := h.settler(func(c *Config) { c.CallbackSecret = nil })
	if err := none.Callback(t.Context(), bank.SignCallback(body, nil, time.Now()), body); !errors.Is(err, bank.ErrSignatureWrong) {
		t.Errorf("without a secret: %v", err)
	}

	h.must(s.Callback(t.Context(), sign(body, time.Now()), body))
	if p := h.payment(id); !p.due || p.state != ledger.PaymentUnknown {
		t.Errorf("it decides nothing and makes the payment due, not %+v", p)
	}
	if attempt := testkit.Receive(t, "a task", tasks); attempt != 2 {
		t.Errorf("the task is for attempt %d", attempt)
	}
	h.must(s.postpone(t.Context(), h.claim(s, id), time.Hour, attemptResult{kind: logUnknown, err: errors.New("silence")}))
	h.must(s.Callback(t.Context(), sign(body, time.Now()), body)) // the same event again
	if p := h.payment(id); p.due || len(tasks) != 0 {
		t.Errorf("the same event had an effect again: %+v", p)
	}
	unknown := h.callback("evt-9", uuid.New(), 1, "executed")
	h.must(s.Callback(t.Context(), sign(unknown, time.Now()), unknown))

	// Status says executed. A callback that says rejected is a discrepancy only after the
	// settlement.
	lie := h.callback("evt-2", id, 10_00, "rejected")
	h.must(s.Callback(t.Context(), sign(lie, time.Now()), lie))
	h.janitor(s)
	h.waitForEnd(alice, id)
	h.wantKinds(s, id)
	late := h.callback("evt-3", id, 10_00, "rejected")
	h.must(s.Callback(t.Context(), sign(late, time.Now()), late))
	h.wantKinds(s, id, CallbackDiffers)
	h.must(s.pruneCallbacks(t.Context()))
}
