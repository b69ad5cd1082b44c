package main

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// checkModel replays the events on a model of the ledger, a few lines of code without batches.
// The events of an account are in the order in which its lock was held, so each decision can be
// checked against the balance that it was based on.
func checkModel(e *evidence) {
	balance, held := make(map[int64]int64), make(map[int64]int64)
	state := make(map[uuid.UUID]string)
	for _, event := range e.books.events {
		t := e.books.transfers[event.Transfer]
		if t == nil {
			e.found.add("model", "event %d belongs to no transfer", event.ID)
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
				e.found.add("model", "refused for insufficient funds, although the balance was %d, held %d: %s", balance[t.Debit], held[t.Debit], t.text())
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
			e.found.add("model", "account %d has %d, held %d; the replayed events give %d, held %d", id, a.Balance, a.Held, balance[id], held[id])
		}
	}
}

const never = time.Duration(math.MaxInt64)

// span is the time of a synchronous operation: it took effect at some moment in between.
type span struct{ began, ended time.Duration }

// spans returns the span of each transfer that was posted while its client waited. Deposits and
// withdrawals are not among them, because their money moves later.
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

// checkOrder checks the order in real time: if a transfer was acknowledged before another one was
// requested, and both have a posting on an account, its posting comes first.
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
			e.found.add("order", "transfer %s was acknowledged before %s was requested, and comes after it on account %d", by, p.Transfer, account)
		}
		if s.ended < earliest {
			earliest, by = s.ended, p.Transfer
		}
	}
}

// checkReads compares each balance that a user read with the postings of the account. The account
// must have had that balance at some moment: with all transfers that were acknowledged before the
// request, and with none that were requested after the response.
func checkReads(e *evidence) {
	postings := make(map[int64][]postingRow)
	for _, p := range e.books.postings {
		postings[p.Account] = append(postings[p.Account], p)
	}
	spans := e.spans()
	perUser := make(map[*user][]reading)
	for _, r := range e.reads {
		perUser[r.user] = append(perUser[r.user], r)
		if r.balance < 0 || r.held < 0 || r.available != r.balance-r.held || r.available < 0 {
			e.found.add("reads", "%s read a balance of %d, held %d, available %d", r.user.handle, r.balance, r.held, r.available)
		}
	}
	for u, reads := range perUser {
		wallet, _ := e.books.wallet(u.id)
		w := newWindow(postings[wallet.ID], spans)
		for _, r := range reads {
			if !w.shows(r) {
				e.found.add("reads", "%s read a balance of %d between %s and %s, which the account did not have then", u.handle, r.balance, r.began, r.ended)
			}
		}
	}
}

// readWindow knows how many postings an account must have had at a time, and how many at most.
type readWindow struct {
	after []int64 // balance after that many postings
	ended []mark  // by time: from then on, at least that many postings
	began []mark  // by time: until then, at most that many postings
}

type mark struct {
	at       time.Duration
	postings int
}

func newWindow(postings []postingRow, spans map[uuid.UUID]span) readWindow {
	w := readWindow{after: []int64{0}}
	for i, p := range postings {
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
		w.ended[i].postings = max(w.ended[i].postings, w.ended[i-1].postings)
	}
	for i := len(w.began) - 2; i >= 0; i-- {
		w.began[i].postings = min(w.began[i].postings, w.began[i+1].postings)
	}
	return w
}

func (w readWindow) shows(r reading) bool {
	fewest, maximum := 0, len(w.after)-1
	if i, _ := slices.BinarySearchFunc(w.ended, r.began, func(m mark, at time.Duration) int { return cmp.Compare(m.at, at) }); i > 0 {
		fewest = w.ended[i-1].postings
	}
	// The first transfer that was requested after the response cannot be included, nor can any
	// later one.
	i, _ := slices.BinarySearchFunc(w.began, r.ended, func(m mark, at time.Duration) int {
		if m.at <= at {
			return -1
		}
		return 1
	})
	if i < len(w.began) {
		maximum = w.began[i].postings
	}
	for n := fewest; n <= maximum; n++ {
		if w.after[n] == r.balance {
			return true
		}
	}
	return false
}
