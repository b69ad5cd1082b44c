package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// result is what a script reported (see report in lib.js).
type result struct {
	steps  steps
	checks []rig.Check
}

// phase is a part of a run; one of the same name may come again. In JSON it is
// [name, seconds].
type phase struct {
	name    string
	seconds float64
}

// UnmarshalJSON reads [name, seconds].
func (p *phase) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&p.name, &p.seconds})
}

// length is how long a phase was in all.
func length(phases []phase, name string) (seconds float64) {
	for _, p := range phases {
		if p.name == name {
			seconds += p.seconds
		}
	}
	return seconds
}

// first is when a phase came.
func first(phases []phase, name string) int {
	return slices.IndexFunc(phases, func(p phase) bool { return p.name == name })
}

// metric is one of k6's, as handleSummary gets it.
type metric struct {
	Values     map[string]float64 `json:"values"`
	Thresholds map[string]struct {
		OK bool `json:"ok"`
	} `json:"thresholds"`
}

func readResult(path string) (*result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseResult(text)
}

func parseResult(text []byte) (*result, error) {
	var told struct {
		Phases  []phase           `json:"phases"`
		Metrics map[string]metric `json:"metrics"`
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return nil, fmt.Errorf("read k6's result: %w", err)
	}
	r := &result{}
	found := make(map[[2]string]rig.Step)
	for name, m := range told.Metrics {
		parts := strings.Split(name, "__")
		if len(parts) != 3 {
			continue // one of k6's own
		}
		key := [2]string{parts[0], parts[1]}
		s := found[key]
		s.Name, s.Phase, s.Seconds = parts[0], parts[1], length(told.Phases, parts[1])
		m.into(&s, parts[2])
		found[key] = s
	}
	r.steps = slices.SortedFunc(maps.Values(found), func(a, b rig.Step) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(first(told.Phases, a.Phase), first(told.Phases, b.Phase)))
	})
	for _, name := range slices.Sorted(maps.Keys(told.Metrics)) {
		r.checks = append(r.checks, told.Metrics[name].checks(name)...)
	}
	r.checks = append(r.checks, offered(told.Metrics))
	if len(r.steps) == 0 {
		return nil, errors.New("k6 counted no step")
	}
	return r, nil
}

// offered tells whether k6 made the load that it was told to: with no virtual user
// free when an iteration is due it drops it, and the server looks better.
func offered(metrics map[string]metric) rig.Check {
	begun, dropped := metrics["iterations"].Values["count"], metrics["dropped_iterations"].Values["count"]
	return rig.Check{
		What: "iterations that k6 dropped, for want of virtual users", Target: "≤ 1 %",
		Value: fmt.Sprintf("%.0f of %.0f", dropped, begun+dropped), Met: begun > 0 && dropped <= (begun+dropped)/100,
	}
}

// into adds what one meter of a step has counted.
func (m metric) into(s *rig.Step, what string) {
	n := int64(m.Values["count"])
	switch what {
	case "took":
		s.Accepted, s.Latency = n, m.latency()
	case "refused":
		s.Refused, s.Refusal = n, m.latency()
	case "failed":
		s.Failed = n
	case "unknown":
		s.Unknown = n
	case "minor":
		s.Minor = n
	}
}

func (m metric) latency() rig.Latency {
	v := m.Values
	return rig.Latency{P50: v["p(50)"], P90: v["p(90)"], P99: v["p(99)"], P999: v["p(99.9)"], Max: v["max"]}
}

// checks are the script's thresholds.
func (m metric) checks(name string) (list []rig.Check) {
	what, value := name, fmt.Sprintf("%.1f ms", m.Values["p(99)"])
	if parts := strings.Split(name, "__"); len(parts) == 3 {
		what = parts[0] + " p99"
	}
	if rate, ok := m.Values["rate"]; ok {
		value = fmt.Sprintf("%.4f %%", 100*rate)
	}
	for _, target := range slices.Sorted(maps.Keys(m.Thresholds)) {
		list = append(list, rig.Check{What: what, Value: value, Target: target, Met: m.Thresholds[target].OK})
	}
	return list
}
