package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A short run with every kind of fault. SEED repeats a run that failed.
func TestChaosShort(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	args := []string{"-duration", "8s", "-rate", "150", "-users", "6", "-clients", "16", "-bank", "hell"}
	if seed := os.Getenv("SEED"); seed != "" {
		args = append(args, "-seed", seed)
	}
	o, err := parseOptions(args)
	if err != nil {
		t.Fatal(err)
	}
	o.log = t.Output()
	t.Logf("SEED=%d repeats this run", o.seed)
	result, err := run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.publish(t.Output()); err != nil {
		t.Error(err)
	}
	if result.outcomes[accepted] == 0 || result.executed == 0 {
		t.Error("nothing was accepted, or the bank executed nothing: the run shows nothing")
	}
}

// The seed determines what the nemesis does, and a short run has each fault once.
func TestPlanFollowsSeed(t *testing.T) {
	plan := func(seed uint64, duration time.Duration) (times []time.Duration, names map[string]int) {
		o := options{seed: seed, duration: duration, stress: everything}
		h := &system{options: o, faultLog: newFaultLog()}
		for _, role := range []string{"api", "worker", "janitor"} {
			h.daemons = append(h.daemons, &daemon{system: h, role: role}, &daemon{system: h, role: role})
		}
		names = make(map[string]int)
		for _, f := range newNemesis(h).plan() {
			times, names[f.name] = append(times, f.at), names[f.name]+1
			if at := f.at % (waveFor + calmFor); duration > waveFor+calmFor && at >= waveFor {
				t.Errorf("%s at %s, in the calm", f.name, f.at)
			}
		}
		return times, names
	}
	one, names := plan(1, 5*time.Minute)
	again, _ := plan(1, 5*time.Minute)
	other, _ := plan(2, 5*time.Minute)
	if !equalTimes(one, again) || equalTimes(one, other) {
		t.Error("the plan does not follow from the seed, or from nothing else")
	}
	if names["kizod kill -9"] < 100 || names["PostgreSQL crash"] < 15 || names["Redis kill"]+names["Redis FLUSHALL"] < 15 {
		t.Errorf("too few faults in five minutes: %v", names)
	}
	if _, short := plan(3, 5*time.Second); len(short) != 11 {
		t.Errorf("a short run leaves faults out: %v", short)
	}
}

func equalTimes(a, b []time.Duration) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// The proxy recognizes a COMMIT in both of PostgreSQL's protocols, and nothing else.
func TestProxyKnowsCommit(t *testing.T) {
	l := &link{statements: make(map[string]bool)}
	for _, step := range []struct {
		message pgproto3.FrontendMessage
		want    bool
	}{
		{&pgproto3.Query{String: "commit"}, true},
		{&pgproto3.Query{String: "rollback"}, false},
		{&pgproto3.Query{String: "SELECT 'commit'"}, false},
		{&pgproto3.Parse{Name: "s1", Query: "COMMIT"}, false},
		{&pgproto3.Parse{Name: "s2", Query: "SELECT 1"}, false},
		{&pgproto3.Bind{PreparedStatement: "s2"}, false},
		{&pgproto3.Execute{}, false},
		{&pgproto3.Bind{PreparedStatement: "s1"}, false},
		{&pgproto3.Execute{}, true},
		{&pgproto3.Sync{}, false},
	} {
		if got := l.commits(step.message); got != step.want {
			t.Errorf("%T %v: a COMMIT: %v", step.message, step.message, got)
		}
	}
}

// Each failpoint has a name of its own.
func TestNamesAreUnique(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range points {
		if seen[p] || !strings.Contains(p, ".") {
			t.Errorf("point %s is listed twice, or names no package", p)
		}
		seen[p] = true
	}
	if len(points) < 40 {
		t.Errorf("%d points", len(points))
	}
}

func id(n int) uuid.UUID {
	return uuid.MustParse("00000000-0000-7000-8000-" + strconv.Itoa(100000000000+n))
}
