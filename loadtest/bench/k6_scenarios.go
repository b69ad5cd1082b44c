package main

import (
	"fmt"
	"math"
	"time"
)

// k6Script is a script and what is expected of it.
type k6Script struct {
	file      string
	extra     time.Duration // beside the measured part, whose length is -duration
	twice     bool          // the measured part comes twice
	renews    bool          // its users log in themselves
	hashes    bool          // it depends on the hash rate, which is measured first
	addChecks func(*Report)
}

func k6Scenarios() []*scenario {
	list := []*scenario{
		{
			name: "k6-profile", duration: time.Minute, k6: &k6Script{file: "profile.js", extra: 40 * time.Second, renews: true, hashes: true},
			description: "100 users who sign in, read the dashboard and the list, deposit, and pay one receiver, then wait for 1 s; ramp 20 s, hold, down 20 s.",
		},
		{
			name: "k6-auth-storm", duration: time.Minute,
			k6:          &k6Script{file: "auth_storm.js", extra: 10 * time.Second, twice: true, hashes: true, addChecks: checkStorm},
			description: "200 payments/s: alone, beside wrong passwords from many addresses for all users, and alone again.",
		},
		{
			name: "k6-hot-receiver", duration: 40 * time.Second, k6: &k6Script{file: "hot_receiver.js", addChecks: checkHot},
			description: "50 users transfer as fast as they can, in turns to any user and to one receiver.",
		},
		{
			name: "k6-spike", duration: 40 * time.Second, k6: &k6Script{file: "spike.js", extra: 10 * time.Second, addChecks: checkSpike},
			description: "100 payments/s, 1,000/s for ten seconds, 100/s again.",
		},
		{
			name: "k6-soak", duration: 2 * time.Minute, k6: &k6Script{file: "soak.js", renews: true},
			description: "50 rounds/s of dashboard, transfer, deposit or withdrawal, and list.",
		},
	}
	for _, s := range list {
		s.users, s.timeout, s.run = 5000, 24*time.Hour, runK6
	}
	return list
}

// length is the length of the script's run with a measured part of d.
func (s *k6Script) length(d time.Duration) time.Duration {
	if s.twice {
		d *= 2
	}
	return d + s.extra
}

// maxUnrenewed is the limit of scenarios that use the seeded access tokens: those are
// valid for freshFor at least when the scenario begins.
const maxUnrenewed = 12 * time.Minute

// checkDuration returns an error if the scenario outlives its access tokens.
func (s *scenario) checkDuration(d time.Duration) error {
	switch {
	case s.k6 == nil && d > 10*time.Minute:
		return fmt.Errorf("-duration of %s is 1s to 10m", s.name)
	case s.k6 != nil && !s.k6.renews && s.k6.length(d) > maxUnrenewed:
		return fmt.Errorf("%s would take %s, and its access tokens are valid for %s", s.name, s.k6.length(d), maxUnrenewed)
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
