package settle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/ledger"
)

// The timeline of a deposit says at each step what it waits for, who acts next and what happened.
func TestExplain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	s := h.settler(func(c *Config) { c.MaxAttempts, c.MaxAge, c.FirstDelay = 3, time.Nanosecond, time.Hour })
	id := h.deposit(alice, 5_00)
	names := func(context.Context, []ledger.UserID) (map[ledger.UserID]string, error) {
		return map[ledger.UserID]string{alice: "@alice"}, nil
	}
	want := func(waitsFor, next string, entries ...string) {
		t.Helper()
		timeline, err := s.Explain(t.Context(), h.transfer(alice, id), names)
		h.must(err)
		if !strings.Contains(timeline.WaitsFor, waitsFor) || !strings.Contains(timeline.Next, next) {
			t.Errorf("it waits for %q, next is %q; want %q, %q", timeline.WaitsFor, timeline.Next, waitsFor, next)
		}
		all := fmt.Sprint(timeline.Entries)
		for _, entry := range entries {
			if !strings.Contains(all, entry) {
				t.Errorf("no %q in %s", entry, all)
			}
		}
	}
	want("its next attempt", "a worker", "accepted as a deposit of", "before the bank was asked")
	c := h.claim(s, id)
	want("the bank's answer to attempt 1", "the worker that holds it")
	h.must(s.postpone(t.Context(), c, 0, attemptResult{kind: logUnknown, err: errors.New("a timeout")}))
	want("its next attempt", "a worker", "attempt 1: no valid answer", "a timeout")
	h.must(s.moveToReview(t.Context(), h.claim(s, id), "exhausted", errors.New("silence")))
	want("an operator's decision", "kizo ops payments resolve "+id.String(), "given to an operator")
	_, err := s.Resolve(t.Context(), id, ResolveAsk)
	h.must(err)
	_, _, err = s.SettleOne(t.Context(), id)
	h.must(err)
	want("nothing", "it has ended", "attempt 3: the bank executed it", "posted: 5.00 USD left the bank", "reached @alice")

	h.setFaults(sim.Faults{RejectDeposits: 1})
	id = h.deposit(alice, 5_00)
	_, _, err = s.SettleOne(t.Context(), id)
	h.must(err)
	want("nothing", "it has ended", "attempt 1: the bank rejected it", "voided: bank_rejected")
	h.wantActor(s, id, EntryVoided, Actor{Role: RoleBank})

	id = h.deposit(alice, 5_00)
	h.must(s.moveToReview(t.Context(), h.claim(s, id), "exhausted", errors.New("silence")))
	_, err = s.Resolve(t.Context(), id, ResolveRejected)
	h.must(err)
	want("nothing", "it has ended", "an operator decided that the bank rejected it", "voided: bank_rejected")
	h.wantActor(s, id, EntryVoided, Actor{Role: RoleOperator})
}

// wantActor checks the actor of the last entry of a type.
func (h *harness) wantActor(s *Settler, transfer uuid.UUID, what EntryType, want Actor) {
	h.t.Helper()
	t, err := s.ledger.Get(h.t.Context(), transfer)
	h.must(err)
	timeline, err := s.Explain(h.t.Context(), t, func(context.Context, []ledger.UserID) (map[ledger.UserID]string, error) { return nil, nil })
	h.must(err)
	for _, entry := range slices.Backward(timeline.Entries) {
		if entry.Type == what {
			if entry.Actor != want {
				h.t.Errorf("%s by %+v, want %+v", what, entry.Actor, want)
			}
			return
		}
	}
	h.t.Errorf("no entry is %s", what)
}
