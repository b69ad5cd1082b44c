package main

import (
	"fmt"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// scenario is a script and what is expected of it.
type scenario struct {
	name     string
	script   string
	sentence string
	duration time.Duration                       // of the part that counts
	renews   bool                                // its users sign in themselves
	length   func(d time.Duration) time.Duration // of all of it
	hashes   bool                                // it hangs on how many sign-ins can be hashed, which is measured first
	judge    func(s steps) []rig.Check           // besides the script's thresholds; nil: nothing
}

var scenarios = []*scenario{
	{
		name: "k6-profile", script: "profile.js", duration: time.Minute, renews: true, hashes: true,
		sentence: "100 users, ramp 20 s, hold, down 20 s; each round: sign in, dashboard, list, deposit, transfer to one receiver, 1 s of thought.",
		length:   func(d time.Duration) time.Duration { return d + 40*time.Second },
	},
	{
		name: "k6-auth-storm", script: "auth_storm.js", duration: time.Minute, hashes: true, judge: judgeStorm,
		sentence: "200 payments/s: in quiet, while wrong passwords come from many addresses for all accounts, and in quiet again.",
		length:   func(d time.Duration) time.Duration { return 2*d + 10*time.Second },
	},
	{
		name: "k6-hot-receiver", script: "hot_receiver.js", duration: 40 * time.Second, judge: judgeHot,
		sentence: "50 users transfer as fast as they can, in turns to anybody and to one receiver.",
		length:   func(d time.Duration) time.Duration { return d },
	},
	{
		name: "k6-spike", script: "spike.js", duration: 40 * time.Second, judge: judgeSpike,
		sentence: "100 payments/s, 1,000/s for ten seconds, 100/s again.",
		length:   func(d time.Duration) time.Duration { return d + 10*time.Second },
	},
	{
		name: "k6-soak", script: "soak.js", duration: 2 * time.Minute, renews: true,
		sentence: "50 rounds/s of dashboard, transfer, deposit or withdrawal, and list.",
		length:   func(d time.Duration) time.Duration { return d },
	},
}

// longest is what a scenario may take that goes on the seeded tokens: those are
// good for freshFor at least when it begins.
const longest = 12 * time.Minute

// check tells whether it can be so long.
func (s *scenario) check(d time.Duration) error {
	if all := s.length(d); !s.renews && all > longest {
		return fmt.Errorf("%s would take %s, and its tokens last for %s", s.name, all, longest)
	}
	return nil
}

// within bounds a run of the scenario, from its start to its report.
func (s *scenario) within(d time.Duration) time.Duration {
	return s.length(d) + slack + settleWithin + auditWithin + measureWithin + time.Minute
}

// steps finds a step by its name and phase; one that never happened is empty.
type steps []rig.Step

func (list steps) find(name, phase string) rig.Step {
	for _, s := range list {
		if s.Name == name && s.Phase == phase {
			return s
		}
	}
	return rig.Step{Name: name, Phase: phase}
}

func atMost(what string, value, limit float64, unit string) rig.Check {
	return rig.Check{
		What: what, Value: fmt.Sprintf("%.2f%s", value, unit), Target: fmt.Sprintf("≤ %g%s", limit, unit), Met: value <= limit,
	}
}

// ratio of two figures of one run; one of nothing is met by nobody.
func ratio(what string, a, b float64, met func(float64) bool, target string) rig.Check {
	if a <= 0 || b <= 0 {
		return rig.Check{What: what, Value: "nothing to compare", Target: target}
	}
	return rig.Check{What: what, Value: fmt.Sprintf("%.2f", a/b), Target: target, Met: met(a / b)}
}

func judgeStorm(s steps) []rig.Check {
	quiet, storm, wrong := s.find("transfer", "quiet"), s.find("transfer", "storm"), s.find("wrong_password", "storm")
	checks := []rig.Check{
		ratio("payment p99, in the storm / in quiet", storm.Latency.P99, quiet.Latency.P99, func(r float64) bool { return r <= 1.2 }, "≤ 1.2"),
		atMost("payment p99 in the storm", storm.Latency.P99, 50, " ms"),
	}
	if wrong.Refused > 0 {
		checks = append(checks, atMost("refusals (429, 503) p99", wrong.Refusal.P99, 50, " ms"))
	}
	return checks
}

func judgeHot(s steps) []rig.Check {
	return []rig.Check{ratio("transfers/s, hot / uniform", s.find("transfer", "hot").Rate(), s.find("transfer", "uniform").Rate(),
		func(r float64) bool { return r >= 0.9 }, "≥ 0.9")}
}

func judgeSpike(s steps) []rig.Check {
	before, after := s.find("transfer", "before"), s.find("transfer", "after")
	return []rig.Check{ratio("payment p99, after the spike / before it", after.Latency.P99, before.Latency.P99,
		func(r float64) bool { return r <= 1.2 }, "≤ 1.2")}
}
