package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// k6Result is what a script reported (see report in lib.js).
type k6Result struct {
	phases []Phase
	checks []Check
}

// k6Phase is a part of a run; a name may occur more than once. In JSON it is
// [name, seconds].
type k6Phase struct {
	name    string
	seconds float64
}

// UnmarshalJSON reads [name, seconds].
func (p *k6Phase) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&p.name, &p.seconds})
}

// metric is one of k6's, as handleSummary gets it.
type metric struct {
	Values     map[string]float64 `json:"values"`
	Thresholds map[string]struct {
		OK bool `json:"ok"`
	} `json:"thresholds"`
}

func parseResult(text []byte) (*k6Result, error) {
	var in struct {
		Phases  []k6Phase         `json:"phases"`
		Metrics map[string]metric `json:"metrics"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("read k6's result: %w", err)
	}
	first := func(name string) int {
		return slices.IndexFunc(in.Phases, func(p k6Phase) bool { return p.name == name })
	}
	r := &k6Result{}
	found := make(map[[2]string]Phase)
	for name, m := range in.Metrics {
		parts := strings.Split(name, "__")
		if len(parts) != 3 {
			continue // one of k6's own
		}
		key := [2]string{parts[0], parts[1]}
		p := found[key]
		p.Step, p.Name, p.Seconds = parts[0], parts[1], 0
		for _, part := range in.Phases {
			if part.name == p.Name {
				p.Seconds += part.seconds
			}
		}
		m.into(&p, parts[2])
		found[key] = p
	}
	r.phases = slices.SortedFunc(maps.Values(found), func(a, b Phase) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(first(a.Name), first(b.Name)))
	})
	for _, name := range slices.Sorted(maps.Keys(in.Metrics)) {
		r.checks = append(r.checks, in.Metrics[name].checks(name)...)
	}
	r.checks = append(r.checks, offered(in.Metrics))
	if len(r.phases) == 0 {
		return nil, errors.New("k6 counted no step")
	}
	return r, nil
}

// offered checks that k6 made the load that it should: without a free virtual user it
// drops an iteration that is due, and the server looks better.
func offered(metrics map[string]metric) Check {
	begun, dropped := metrics["iterations"].Values["count"], metrics["dropped_iterations"].Values["count"]
	return Check{
		What: "iterations that k6 dropped, for want of virtual users", Target: "≤ 1 %",
		Value: fmt.Sprintf("%.0f of %.0f", dropped, begun+dropped), Met: begun > 0 && dropped <= (begun+dropped)/100,
	}
}

// into adds what one metric of a step has counted.
func (m metric) into(p *Phase, what string) {
	n := int64(m.Values["count"])
	switch what {
	case "took":
		p.Accepted, p.Latency = n, m.latency()
	case "refused":
		l := m.latency()
		p.Shed, p.ShedIn = n, &l
	case "failed":
		p.Failed = n
	case "unknown":
		p.Unknown = n
	case "minor":
		p.Minor = n
	}
}

func (m metric) latency() Latency {
	v := m.Values
	return Latency{P50: v["p(50)"], P90: v["p(90)"], P99: v["p(99)"], P999: v["p(99.9)"], Max: v["max"]}
}

// checks are the script's thresholds.
func (m metric) checks(name string) (list []Check) {
	what, value := name, fmt.Sprintf("%.1f ms", m.Values["p(99)"])
	if parts := strings.Split(name, "__"); len(parts) == 3 {
		what = parts[0] + " p99"
	}
	if rate, ok := m.Values["rate"]; ok {
		value = fmt.Sprintf("%.4f %%", 100*rate)
	}
	for _, target := range slices.Sorted(maps.Keys(m.Thresholds)) {
		list = append(list, Check{What: what, Value: value, Target: target, Met: m.Thresholds[target].OK})
	}
	return list
}
