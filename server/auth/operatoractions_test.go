package auth

import (
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

func TestActionsAreStored(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, olga := h.signUp("olga")
	testkit.Must(t, h.RecordAction(t.Context(), olga.ID, "queue.pause", "bank", "the bank asked us to"))
	testkit.Must(t, h.RecordAction(t.Context(), UserID(newID()), "queue.resume", "bank", "done"))
	actions, err := h.Actions(t.Context(), 10)
	testkit.Must(t, err)
	if len(actions) != 2 || actions[0].Action != "queue.resume" || actions[0].Operator != "" {
		t.Fatalf("got %+v", actions)
	}
	first := actions[1]
	if first.Operator != "olga" || first.Subject != "bank" || first.Reason != "the bank asked us to" || first.At.IsZero() {
		t.Errorf("got %+v", first)
	}
	if actions, err = h.Actions(t.Context(), 1); err != nil || len(actions) != 1 {
		t.Errorf("got %+v, %v", actions, err)
	}
	if err := h.RecordAction(t.Context(), olga.ID, "queue.pause", "bank", ""); err == nil {
		t.Error("an action without a reason was stored")
	}
	if _, err := h.pool.Exec(t.Context(), `DELETE FROM operator_actions`); err == nil {
		t.Error("an action could be deleted")
	}
}
