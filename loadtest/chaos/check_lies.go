package main

import (
	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/settle"
)

// kindOfLie is what a lie is recorded as once it is found out.
var kindOfLie = map[string]string{sim.LieAmount: settle.AmountDiffers, sim.LieStatus: settle.AnswersDiffer}

// checkLies holds what the bank confesses against the differences that Kizo has
// recorded. A lie whose hearer died with it, or whose line was cut, leaves nothing;
// but an attempt that noticed a contradiction has recorded it, and so has one that
// settled a payment about which Submit had answered otherwise.
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
				e.found.add("lie", "the bank lied (%s) at %s about %s; the attempt that noticed at %s recorded nothing", lie.Kind, lie.At, lie.Ref, l.At)
			}
			break // of the attempt that was lied to this is the end
		}
	}
	for _, p := range e.books.payments {
		final := p.State == "executed" || p.State == "rejected"
		if final && p.Unconfirmed != "" && p.Unconfirmed != p.State && !e.books.differ[discrepancyRow{p.Transfer, settle.AnswersDiffer}] {
			e.found.add("lie", "the bank answered %s first, it was settled otherwise, and that is not recorded: %s", p.Unconfirmed, p.Text)
		}
	}
}

// liesFound counts the bank's lies and those of them that Kizo has on record.
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
