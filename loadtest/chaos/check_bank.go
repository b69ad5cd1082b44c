package main

import (
	"slices"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/settle"
)

// checkBank compares every payment with the bank's own journal, which another process
// writes and syncs. The bank executed a payment if its transfer is posted, rejected it if the
// transfer is voided, and has no entry without a payment. ReadJournal fails if a reference
// occurs twice.
func checkBank(e *evidence) {
	journal := make(map[string]sim.Entry, len(e.journal))
	for _, entry := range e.journal {
		journal[entry.Ref] = entry
	}
	asked := make(map[string]bool, len(e.books.payments))
	for _, p := range e.books.payments {
		asked[p.Ref] = true
		t, entry := e.books.transfers[p.Transfer], journal[p.Ref]
		if t == nil {
			e.found.add("bank", "a payment without a transfer: %s", p.Text)
			continue
		}
		same := entry.Amount == p.Amount && entry.Currency == p.Currency && string(entry.Direction) == p.Direction
		switch {
		case t.State == "posted" && (entry.Status != sim.StatusExecuted || !same):
			e.found.add("bank: not executed", "posted, and the bank's journal has %+v\npayment %s", entry, p.Text)
		case t.State == "voided" && entry.Status == sim.StatusExecuted:
			e.found.add("bank: executed and voided", "voided, and the bank's journal has %+v\npayment %s", entry, p.Text)
		case t.State == "voided" && entry.Status != sim.StatusRejected:
			e.found.add("bank: no rejection", "voided, and the bank never rejected it: its journal has %+v\npayment %s", entry, p.Text)
		}
	}
	for ref, entry := range journal {
		if !asked[ref] {
			e.found.add("bank: unrequested", "the bank has %+v, which no payment asked for", entry)
		}
	}
}

// checkClearing compares the clearing account with the bank's journal: they must have the
// same sum, except for payments that an operator has not decided yet.
func checkClearing(e *evidence) {
	var clearing, sum int64
	for _, a := range e.books.accounts {
		if a.Kind == "clearing" {
			clearing += a.Balance
		}
	}
	for _, entry := range e.journal {
		id, err := uuid.Parse(entry.Ref)
		if entry.Status != sim.StatusExecuted || (err == nil && e.openPayment(id)) {
			continue
		}
		if entry.Direction == "deposit" {
			sum -= entry.Amount
		} else {
			sum += entry.Amount
		}
	}
	if clearing != sum {
		e.found.add("clearing", "the clearing account has %d, the bank's journal says %d", clearing, sum)
	}
}

// checkFences reads the payments' log: only the worker that claimed a payment last may
// settle it.
func checkFences(e *evidence) {
	holder := make(map[uuid.UUID]string)
	for _, l := range e.books.log {
		claim := l.OldFence != nil && l.Fence > *l.OldFence
		switch {
		case claim:
			holder[l.Transfer] = l.Who
		case l.OldState == nil: // opened
		case l.Who == "": // not by a kizod
		case holder[l.Transfer] != l.Who:
			e.found.add("fence", "%s took payment %s from %s to %s under fence %d, which %s holds",
				l.Who, l.Transfer, *l.OldState, l.State, l.Fence, holder[l.Transfer])
		}
		if l.OldState != nil && slices.Contains([]string{"executed", "rejected"}, *l.OldState) {
			e.found.add("fence", "%s changed payment %s after it had ended: %s to %s", l.Who, l.Transfer, *l.OldState, l.State)
		}
	}
}

// checkLeases: a payment is not claimed before its lease has expired.
func checkLeases(e *evidence) {
	for _, l := range e.books.log {
		if l.OldFence != nil && l.Fence > *l.OldFence && l.OldLease != nil && l.OldLease.After(l.At) {
			e.found.add("lease", "%s claimed payment %s at %s, whose lease lasts until %s", l.Who, l.Transfer, l.At, l.OldLease)
		}
	}
}

// kindOfLie maps a kind of wrong answer to the kind of discrepancy that Kizo records for it.
var kindOfLie = map[string]string{sim.LieAmount: settle.AmountDiffers, sim.LieStatus: settle.AnswersDiffer}

// checkLies compares the bank's own list of its wrong answers with the discrepancies that Kizo
// has recorded. A wrong answer leaves no trace if its worker was killed or its connection was cut.
// But an attempt that noticed a contradiction must have recorded it, and so must an attempt that
// settled a payment against the answer of Submit.
func checkLies(e *evidence) {
	attempts := make(map[uuid.UUID][]attemptRow)
	for _, l := range e.books.attempts {
		attempts[l.Transfer] = append(attempts[l.Transfer], l)
	}
	for _, lie := range e.lies {
		id, err := uuid.Parse(lie.Ref)
		if err != nil || e.books.differ[discrepancyRow{id, kindOfLie[lie.Kind]}] {
			continue
		}
		for _, l := range attempts[id] {
			if l.At.Before(lie.At) {
				continue
			}
			if l.Kind == "contradiction" {
				e.found.add("lie", "the bank gave a wrong answer (%s) at %s about %s; the attempt that noticed at %s recorded nothing", lie.Kind, lie.At, lie.Ref, l.At)
			}
			break // this entry ends the attempt that got the wrong answer
		}
	}
	for _, p := range e.books.payments {
		final := p.State == "executed" || p.State == "rejected"
		if final && p.Unconfirmed != "" && p.Unconfirmed != p.State && !e.books.differ[discrepancyRow{p.Transfer, settle.AnswersDiffer}] {
			e.found.add("lie", "the bank answered %s first, the payment was settled otherwise, and the discrepancy is not recorded: %s", p.Unconfirmed, p.Text)
		}
	}
}

// liesFound counts the bank's wrong answers, and those of them that Kizo has recorded.
func (e *evidence) liesFound() (all, found int) {
	seen := make(map[sim.Lie]bool)
	for _, lie := range e.lies {
		once := sim.Lie{Ref: lie.Ref, Kind: lie.Kind}
		if seen[once] {
			continue
		}
		seen[once] = true
		all++
		if id, err := uuid.Parse(lie.Ref); err == nil && e.books.differ[discrepancyRow{id, kindOfLie[lie.Kind]}] {
			found++
		}
	}
	return all, found
}
