package settle

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/ledger"
)

// Logs, the payment and the requests to the bank have the trace of the request that created the
// payment.
func TestPaymentKeepsItsTrace(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	first, again := trace.New(), trace.New()
	request := ledger.TransferRequest{Owner: alice, Key: uuid.NewString(), Amount: usd(1_00), Trace: first}
	opened, err := h.OpenDeposit(t.Context(), request)
	h.must(err)
	request.Trace = again
	replay, err := h.OpenDeposit(t.Context(), request)
	h.must(err)
	if !replay.Replayed || replay.Transfer.ID != opened.Transfer.ID {
		t.Fatalf("another trace makes another request: %+v", replay)
	}

	var log bytes.Buffer
	s := h.settler(func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	h.setFaults(sim.Faults{Fail: 1})
	_, _, err = s.SettleOne(t.Context(), opened.Transfer.ID)
	h.must(err)
	h.setFaults(sim.Faults{})
	testkit.Eventually(t, "the deposit is settled", func() bool {
		_, _, err := s.SettleOne(t.Context(), opened.Transfer.ID)
		h.must(err)
		return h.transfer(alice, opened.Transfer.ID).State == ledger.Posted
	})
	for _, line := range []string{"outcome unknown", "payment settled"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log does not say %q:\n%s", line, &log)
		}
	}
	for line := range strings.Lines(log.String()) {
		if !strings.Contains(line, "trace_id="+first.TraceID()) {
			t.Errorf("a log line without its trace: %s", line)
		}
	}
	p, err := s.Payment(t.Context(), opened.Transfer.ID)
	h.must(err)
	entries, err := sim.ReadJournal(h.journal)
	h.must(err)
	if p.TraceID != first.TraceID() || len(entries) != 1 || entries[0].TraceID != first.TraceID() {
		t.Errorf("kept %q, the bank noted %+v; want %s", p.TraceID, entries, first.TraceID())
	}
}
