package main

import (
	"context"
	"fmt"
	"math"
	"time"
)

// k6Scenario is a script and what is expected of it.
type k6Scenario struct {
	name      string
	script    string
	sentence  string
	duration  time.Duration // of the measured part
	extra     time.Duration // of the rest
	twice     bool          // the measured part comes twice
	renews    bool          // its users log in themselves
	hashes    bool          // it depends on the hash rate, which is measured first
	addChecks func(*Report)
}

var k6List = []k6Scenario{
	{
		name: "k6-profile", script: "profile.js", duration: time.Minute, extra: 40 * time.Second, renews: true, hashes: true,
		sentence: "100 users who sign in, read the dashboard and the list, deposit, and pay one receiver, then wait for 1 s; ramp 20 s, hold, down 20 s.",
	},
	{
		name: "k6-auth-storm", script: "auth_storm.js", duration: time.Minute, extra: 10 * time.Second, twice: true, hashes: true, addChecks: checkStorm,
		sentence: "200 payments/s: alone, beside wrong passwords from many addresses for all users, and alone again.",
	},
	{
		name: "k6-hot-receiver", script: "hot_receiver.js", duration: 40 * time.Second, addChecks: checkHot,
		sentence: "50 users transfer as fast as they can, in turns to any user and to one receiver.",
	},
	{
		name: "k6-spike", script: "spike.js", duration: 40 * time.Second, extra: 10 * time.Second, addChecks: checkSpike,
		sentence: "100 payments/s, 1,000/s for ten seconds, 100/s again.",
	},
	{
		name: "k6-soak", script: "soak.js", duration: 2 * time.Minute, renews: true,
		sentence: "50 rounds/s of dashboard, transfer, deposit or withdrawal, and list.",
	},
}

func k6Scenarios() (list []*scenario) {
	for _, s := range k6List {
		list = append(list, &scenario{
			name: s.name, description: s.sentence, users: 5000, duration: s.duration, timeout: 24 * time.Hour,
			run: func(ctx context.Context, b *bench) error { return b.runK6(ctx, s) },
		})
	}
	return list
}

// length is the length of the script's run with a measured part of d.
func (s k6Scenario) length(d time.Duration) time.Duration {
	if s.twice {
		d *= 2
	}
	return d + s.extra
}

// maxUnrenewed is the limit of scenarios that use the seeded access tokens: those are
// valid for freshFor at least when the scenario begins.
const maxUnrenewed = 12 * time.Minute

// checkDuration returns an error if a scenario outlives its access tokens.
func checkDuration(name string, d time.Duration) error {
	for _, s := range k6List {
		if s.name == name {
			if all := s.length(d); !s.renews && all > maxUnrenewed {
				return fmt.Errorf("%s would take %s, and its access tokens are valid for %s", name, all, maxUnrenewed)
			}
			return nil
		}
	}
	if d > 10*time.Minute {
		return fmt.Errorf("-duration of %s is 1s to 10m", name)
	}
	return nil
}

func checkStorm(r *Report) {
	alone, storm, wrong := r.find("quiet", "transfer"), r.find("storm", "transfer"), r.find("storm", "wrong_password")
	r.quotient("payment p99, in the storm / alone", storm.Latency.P99, alone.Latency.P99, "≤", 1.2)
	r.check("payment p99 in the storm, ms", storm.Latency.P99, "≤", 50)
	if wrong.Shed > 0 {
		r.check("rejections (429, 503) p99, ms", wrong.ShedIn.P99, "≤", 50)
	}
}

func checkHot(r *Report) {
	r.quotient("transfers/s, hot / uniform", r.find("hot", "transfer").PerSecond(), r.find("uniform", "transfer").PerSecond(), "≥", 0.9)
}

func checkSpike(r *Report) {
	r.quotient("payment p99, after the spike / before it", r.find("after", "transfer").Latency.P99, r.find("before", "transfer").Latency.P99, "≤", 1.2)
}

// find returns a phase by its name and step. A phase that never happened is empty.
func (r *Report) find(name, step string) Phase {
	for _, p := range r.Phases {
		if p.Name == name && p.Step == step {
			return p
		}
	}
	return Phase{}
}

// quotient checks the ratio of two figures of one run. A missing figure misses the target.
func (r *Report) quotient(what string, a, b float64, comparison string, limit float64) {
	value := math.NaN()
	if a > 0 && b > 0 {
		value = a / b
	}
	r.check(what, value, comparison, limit)
}
