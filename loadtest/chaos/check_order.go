package main

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// checkModel replays the events on a model of the ledger: a few lines that know
// nothing of batches. An account's events are in the order in which its lock was
// held, so that each decision can be held against what there was to decide on.
func checkModel(e *evidence) {
	balance, held := make(map[int64]int64), make(map[int64]int64)
	state := make(map[uuid.UUID]string)
	for _, event := range e.books.events {
		t := e.books.transfers[event.Transfer]
		if t == nil {
			e.found.add("model", "event %d is about no transfer", event.ID)
			continue
		}
		holds := t.Kind == "authorization" || t.Kind == "withdrawal"
		switch event.State {
		case "pending":
			if holds {
				held[t.Debit] += t.Amount
			}
		case "refused":
			if t.Reason == "insufficient_funds" && balance[t.Debit]-held[t.Debit] >= t.Amount {
				e.found.add("model", "refused for want of funds, and there were %d, held %d: %s", balance[t.Debit], held[t.Debit], t.text())
			}
		default: // posted, voided
			if state[t.ID] == "pending" && holds {
				held[t.Debit] -= t.Amount
			}
			if event.State == "posted" {
				balance[t.Debit] -= t.Posted
				balance[t.Credit] += t.Posted
			}
		}
		state[t.ID] = event.State
		if e.books.owner(t.Debit) != uuid.Nil && (held[t.Debit] < 0 || balance[t.Debit] < held[t.Debit]) {
			e.found.add("model", "%s leaves %d, held %d, on account %d: %s", event.State, balance[t.Debit], held[t.Debit], t.Debit, t.text())
		}
	}
	for id, a := range e.books.accounts {
		if a.Balance != balance[id] || a.Held != held[id] {
			e.found.add("model", "account %d has %d, held %d; replayed in order it has %d, held %d", id, a.Balance, a.Held, balance[id], held[id])
		}
	}
}

const never = time.Duration(math.MaxInt64)

// moment of a synchronous operation: it took effect somewhere in between.
type span struct{ began, ended time.Duration }

// spans maps the transfers that were posted while a client waited to that time.
// A deposit's money moves later, so it is not among them.
func (e *evidence) spans() map[uuid.UUID]span {
	spans := make(map[uuid.UUID]span)
	for _, o := range e.operations {
		answer := o.conclusion()
		if answer.Outcome != accepted || (o.kind != transfer && o.kind != reversal && o.kind != capture) {
			continue
		}
		s := span{began: never, ended: never}
		for _, a := range o.tries() {
			s.began = min(s.began, a.Began)
			if a.Outcome == accepted {
				s.ended = min(s.ended, a.Ended)
			}
		}
		spans[answer.Transfer] = s
	}
	return spans
}

// checkOrder is real time: what was acknowledged before something else was asked
// for stands before it on an account that both are on.
func checkOrder(e *evidence) {
	spans := e.spans()
	earliest, account := never, int64(0)
	var by uuid.UUID
	for _, p := range slices.Backward(e.books.postings) {
		if p.Account != account {
			account, earliest = p.Account, never
		}
		s, ok := spans[p.Transfer]
		if !ok {
			continue
		}
		if earliest < s.began {
			e.found.add("order", "transfer %s was acknowledged before %s was asked for, and stands after it on account %d", by, p.Transfer, account)
		}
		if s.ended < earliest {
			earliest, by = s.ended, p.Transfer
		}
	}
}

// checkReads holds each balance that a user was shown against the account's lines:
// it has to be one that the account had, neither older than what was acknowledged
// before the question nor newer than what was asked for after the answer.
func checkReads(e *evidence) {
	lines := make(map[int64][]postingRow)
	for _, p := range e.books.postings {
		lines[p.Account] = append(lines[p.Account], p)
	}
	spans := e.spans()
	perUser := make(map[*user][]reading)
	for _, r := range e.reads {
		perUser[r.user] = append(perUser[r.user], r)
		if r.balance < 0 || r.held < 0 || r.available != r.balance-r.held || r.available < 0 {
			e.found.add("reads", "%s was shown %d, held %d, available %d", r.user.handle, r.balance, r.held, r.available)
		}
	}
	for u, reads := range perUser {
		wallet, _ := e.books.wallet(u.id)
		w := newWindow(lines[wallet.ID], spans)
		for _, r := range reads {
			if !w.shows(r) {
				e.found.add("reads", "%s was shown %d from %s to %s, which the account did not have then", u.handle, r.balance, r.began, r.ended)
			}
		}
	}
}

// readWindow knows which lines an account must and must not have had at a time.
type readWindow struct {
	after []int64 // balance after so many lines
	ended []mark  // by time: at least so many lines
	began []mark  // by time: at most so many lines
}

type mark struct {
	at    time.Duration
	lines int
}

func newWindow(lines []postingRow, spans map[uuid.UUID]span) readWindow {
	w := readWindow{after: []int64{0}}
	for i, p := range lines {
		w.after = append(w.after, p.After)
		if s, ok := spans[p.Transfer]; ok {
			w.ended = append(w.ended, mark{s.ended, i + 1})
			w.began = append(w.began, mark{s.began, i})
		}
	}
	byTime := func(a, b mark) int { return cmp.Compare(a.at, b.at) }
	slices.SortStableFunc(w.ended, byTime)
	slices.SortStableFunc(w.began, byTime)
	for i := 1; i < len(w.ended); i++ {
		w.ended[i].lines = max(w.ended[i].lines, w.ended[i-1].lines)
	}
	for i := len(w.began) - 2; i >= 0; i-- {
		w.began[i].lines = min(w.began[i].lines, w.began[i+1].lines)
	}
	return w
}

func (w readWindow) shows(r reading) bool {
	least, most := 0, len(w.after)-1
	if i, _ := slices.BinarySearchFunc(w.ended, r.began, func(m mark, at time.Duration) int { return cmp.Compare(m.at, at) }); i > 0 {
		least = w.ended[i-1].lines
	}
	// The first that was asked for after the answer: it and what follows it cannot be in.
	i, _ := slices.BinarySearchFunc(w.began, r.ended, func(m mark, at time.Duration) int {
		if m.at <= at {
			return -1
		}
		return 1
	})
	if i < len(w.began) {
		most = w.began[i].lines
	}
	for n := least; n <= most; n++ {
		if w.after[n] == r.balance {
			return true
		}
	}
	return false
}
