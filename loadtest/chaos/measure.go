package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// redriveWithin is the target for the next claim of a payment whose worker was killed.
const redriveWithin = 5 * time.Second

// measure computes the figures of the summary.
func (r *result) measure(e *evidence) {
	r.postings = len(e.books.postings)
	r.outcomes = make(map[outcome]int)
	for _, o := range e.operations {
		r.outcomes[o.conclusion().Outcome]++
		r.attempts += len(o.tries())
	}
	r.operations = len(e.operations)
	r.payments = make(map[string]int)
	for _, p := range e.books.payments {
		r.payments[p.State]++
	}
	for _, o := range orphans(e.books.log, e.deaths) {
		r.orphans = append(r.orphans, o.waited)
		net := r.system.faultLog.without(o.died, o.again.At)
		r.orphansNet = append(r.orphansNet, net)
		if net > redriveWithin {
			r.system.note("late: %s, %s of it with a database", o, net.Round(time.Millisecond))
		}
	}
	slices.Sort(r.orphansNet)
	r.pickups = pickups(e.books.log)
	r.log = e.books.log
	r.lies, r.liesFound = e.liesFound()
	r.rates()
	counted := make(map[string]bool, len(e.journal))
	for _, entry := range e.journal {
		counted[entry.Ref] = entry.Status == "executed"
	}
	for _, executed := range counted {
		if executed {
			r.executed++
		}
	}
}

// rates computes the attempts that ended per second: over the whole run, and in the calm between
// waves.
func (r *result) rates() {
	total, calm, calmSeconds := 0, 0, 0
	from, to := r.began.Sub(r.history.began), r.began.Add(r.faultsFor).Sub(r.history.began)
	for second, n := range r.history.seconds {
		at := time.Duration(second) * time.Second
		if at >= from && at < to {
			total += n
		}
	}
	for _, w := range r.system.faultLog.calm {
		for at := w.from.Sub(r.history.began).Truncate(time.Second) + time.Second; at+time.Second <= w.to.Sub(r.history.began); at += time.Second {
			calm += r.history.seconds[int(at/time.Second)]
			calmSeconds++
		}
	}
	if r.faultsFor > 0 {
		r.rate = float64(total) / r.faultsFor.Seconds()
	}
	if calmSeconds > 0 {
		r.calmRate = float64(calm) / float64(calmSeconds)
	}
}

// orphans returns the payments whose worker was killed while it had claimed them, with the time
// from the kill to the next claim.
func orphans(log []logRow, deaths map[string]time.Time) []orphan {
	last := make(map[uuid.UUID]logRow)
	var waits []orphan
	for _, l := range log {
		before, seen := last[l.Transfer]
		last[l.Transfer] = l
		if !seen || before.OldFence == nil || before.Fence == *before.OldFence { // not a claim
			continue
		}
		died, dead := deaths[before.Who]
		if dead && l.Who != before.Who && died.After(before.At) && l.At.After(died) {
			waits = append(waits, orphan{l.At.Sub(died), before, l, died})
		}
	}
	slices.SortFunc(waits, func(a, b orphan) int { return cmp.Compare(a.waited, b.waited) })
	return waits
}

// orphan is a payment whose worker was killed, and which another worker claimed later.
type orphan struct {
	waited       time.Duration
	claim, again logRow
	died         time.Time
}

func (o orphan) String() string {
	const clock = "15:04:05.000"
	return fmt.Sprintf("payment %s: %s claimed it at %s with a lease until %s, died at %s; %s claimed it at %s, %s later",
		o.claim.Transfer, o.claim.Who, o.claim.At.Format(clock), o.claim.Lease.Format(clock), o.died.Format(clock),
		o.again.Who, o.again.At.Format(clock), o.waited.Round(time.Millisecond))
}

// pickups returns how long new payments waited for their first claim.
func pickups(log []logRow) []time.Duration {
	opened := make(map[uuid.UUID]time.Time)
	var waits []time.Duration
	for _, l := range log {
		if l.OldState == nil {
			opened[l.Transfer] = l.At
			continue
		}
		if at, waiting := opened[l.Transfer]; waiting {
			waits = append(waits, l.At.Sub(at))
			delete(opened, l.Transfer)
		}
	}
	slices.Sort(waits)
	return waits
}

// settledAfter returns how long payments took from their creation to their end.
func settledAfter(log []logRow) []time.Duration {
	opened := make(map[uuid.UUID]time.Time)
	var took []time.Duration
	for _, l := range log {
		if l.OldState == nil {
			opened[l.Transfer] = l.At
		} else if l.State == "executed" || l.State == "rejected" {
			took = append(took, l.At.Sub(opened[l.Transfer]))
		}
	}
	slices.Sort(took)
	return took
}
