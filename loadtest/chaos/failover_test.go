package main

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

// The time after a failure ends with the first operation that began after it and was acknowledged,
// and with the first claim by a worker of a payment that was opened after it.
func TestTimeAfterAFailure(t *testing.T) {
	began := time.Now()
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	r := &result{history: newHistory(), system: &system{failures: []failure{{what: "x", at: at(10), dead: at(11)}}}, evidence: &evidence{books: &books{}}}
	r.history.began = began
	if got := r.paymentGaps(); got[0] != clusterWithin {
		t.Errorf("without a payment: %v", got)
	}
	for _, a := range []attempt{
		{Began: 9 * time.Second, Ended: 12 * time.Second, Outcome: accepted}, // may have been committed before
		{Began: 12 * time.Second, Ended: 14 * time.Second, Outcome: unknown},
		{Began: 12 * time.Second, Ended: 18 * time.Second, Outcome: accepted},
		{Began: 13 * time.Second, Ended: 17 * time.Second, Outcome: accepted},
	} {
		o := &operation{kind: transfer}
		o.record(a)
		r.history.add(o)
	}
	if got := r.paymentGaps(); got[0] != 7*time.Second {
		t.Errorf("payments: %v", got)
	}
	pending, before, later := "pending", uuid.New(), uuid.New()
	r.books.log = []logRow{
		{Transfer: before, At: at(9)},
		{Transfer: before, At: at(12), OldState: &pending, Who: "worker-0.1"},
		{Transfer: later, At: at(12)},
		{Transfer: later, At: at(13), OldState: &pending, Who: "janitor-0.1"},
		{Transfer: later, At: at(15), OldState: &pending, Who: "worker-1.1"},
	}
	if got := r.queueGaps(); got[0] != 5*time.Second {
		t.Errorf("queue: %v", got)
	}
}
