package main

import (
	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/settle"
)

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
