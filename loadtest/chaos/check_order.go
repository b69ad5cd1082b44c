package main

import (
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
	batches := make(map[int64]batchOf)
	atomic := make(map[uuid.UUID]int64) // by transfer: the amount of its whole atomic batch
	for _, o := range e.operations {
		for _, other := range o.atomic {
			atomic[o.conclusion().Transfer] += other.amount
		}
	}
	for _, event := range e.books.events {
		t := e.books.transfers[event.Transfer]
		if t == nil {
			e.found.add("model", "event %d belongs to no transfer", event.ID)
			continue
		}
		batches[t.Debit] = batches[t.Debit].before(t, balance[t.Debit]-held[t.Debit])
		holds := t.Kind == "authorization" || t.Kind == "withdrawal"
		switch event.State {
		case "pending":
			if holds {
				held[t.Debit] += t.Amount
			}
		case "refused":
			if t.Reason == "insufficient_funds" && batches[t.Debit].least >= max(t.Amount, atomic[t.ID]) {
				e.found.add("model", "refused for insufficient funds, although the balance was %d, held %d: %s", balance[t.Debit], held[t.Debit], t.text())
			}
		default: // posted, voided
			if state[t.ID] == "pending" && holds {
				held[t.Debit] -= t.Amount
			}
			if event.State == "posted" {
				batches[t.Credit] = batches[t.Credit].before(t, balance[t.Credit]-held[t.Credit])
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

// batchOf is the least amount that an account had available before an event of the newest database
// transaction. The events of transfers that were posted at once come first in a transaction, even
// if a transfer was refused before they raised the balance.
type batchOf struct {
	created time.Time
	least   int64
}

// before adds the amount that is available before an event of t.
func (b batchOf) before(t *transferRow, available int64) batchOf {
	if b.created.Equal(t.Created) {
		available = min(available, b.least)
	}
	return batchOf{t.Created, available}
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
// for comes before it on an account that both are on.
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

// checkReads compares each balance that a user was shown with the account's postings:
// must have had that balance at some moment: with all transfers that were acknowledged before the
// request, and with none that were requested after the response.
func checkReads(e *evidence) {
	byAccount := make(map[int64][]postingRow)
	for _, p := range e.books.postings {
		byAccount[p.Account] = append(byAccount[p.Account], p)
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
		postings := byAccount[wallet.ID]
		during := make([]span, len(postings))
		for i, p := range postings {
			during[i] = span{ended: never}
			if s, ok := spans[p.Transfer]; ok {
				during[i] = s
			}
		}
		for _, r := range reads {
			if !had(postings, during, r) {
				e.found.add("reads", "%s read a balance of %d between %s and %s, which the account did not have then", u.handle, r.balance, r.began, r.ended)
			}
		}
	}
}

// had reports whether an account could have the balance of a reading at its time. Each
// of its postings was made during a span.
func had(postings []postingRow, during []span, r reading) bool {
	first, last := 0, len(postings) // the reading is after at least and at most so many postings
	for i, s := range during {
		if s.ended < r.began {
			first = i + 1
		}
		if s.began > r.ended {
			last = min(last, i)
		}
	}
	if first == 0 && r.balance == 0 {
		return true
	}
	for n := max(first, 1); n <= last; n++ {
		if postings[n-1].After == r.balance {
			return true
		}
	}
	return false
}
