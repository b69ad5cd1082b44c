package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// faultLog records what the nemesis did.
type faultLog struct {
	mu     sync.Mutex
	counts map[string]int
	deaths map[string]time.Time // when each generation was killed; generations that got SIGTERM are not included
	away   []window             // times in which PostgreSQL could not be reached
}

type window struct{ from, to time.Time }

func newFaultLog() *faultLog {
	return &faultLog{counts: make(map[string]int), deaths: make(map[string]time.Time)}
}

func (d *faultLog) count(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[what]++
}

func (d *faultLog) death(who string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaths[who] = at
}

func (d *faultLog) outage(from, to time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = append(d.away, window{from, to})
}

// without returns the length of a period without the outages in it.
func (d *faultLog) without(from, to time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := to.Sub(from)
	slices.SortFunc(d.away, func(a, b window) int { return a.from.Compare(b.from) })
	for _, w := range d.away {
		if w.from.Before(from) {
			w.from = from
		}
		if w.to.After(to) {
			w.to = to
		}
		if w.to.After(w.from) {
			left -= w.to.Sub(w.from)
			from = w.to // they may overlap
		}
	}
	return left
}

// done lists the counts in order of their names.
func (d *faultLog) done() (names []string, counts map[string]int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.counts)), maps.Clone(d.counts)
}

// violation is a broken rule, with evidence.
type violation struct{ rule, evidence string }

// findings are the violations of a run, at most maxEvidence of each rule.
type findings struct {
	mu     sync.Mutex
	list   []violation
	counts map[string]int
	first  chan struct{} // closed at the first violation
}

const maxEvidence = 8 // violations of one rule that are kept

func newFindings() *findings {
	return &findings{counts: make(map[string]int), first: make(chan struct{})}
}

func (f *findings) add(rule, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) == 0 {
		close(f.first)
	}
	f.counts[rule]++
	if f.counts[rule] <= maxEvidence {
		f.list = append(f.list, violation{rule, fmt.Sprintf(format, args...)})
	}
}

func (f *findings) all() ([]violation, map[string]int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list), maps.Clone(f.counts)
}
