package main

import (
	"slices"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/bank/sim"
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
