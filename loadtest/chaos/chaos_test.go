package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
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
	if err := result.publish(t.Output(), ""); err != nil {
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
		h := &system{options: o, faultLog: &faultLog{}}
		for range 6 {
			h.daemons = append(h.daemons, &daemon{system: h, role: "worker"})
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
	message := func(kind byte, body string) []byte { return append([]byte{kind, 0, 0, 0, 0}, body...) }
	l := &link{statements: make(map[string]bool)}
	for _, step := range []struct {
		kind byte
		body string
		want bool
	}{
		{'Q', "commit\x00", true},
		{'Q', "rollback\x00", false},
		{'Q', "SELECT 'commit'\x00", false},
		{'P', "s1\x00COMMIT\x00\x00\x00", false},
		{'P', "s2\x00SELECT 1\x00\x00\x00", false},
		{'B', "\x00s2\x00", false},
		{'E', "\x00\x00\x00\x00\x00", false},
		{'B', "\x00s1\x00", false},
		{'E', "\x00\x00\x00\x00\x00", true},
		{'S', "", false},
	} {
		if got := l.commits(message(step.kind, step.body)); got != step.want {
			t.Errorf("%c %q: a COMMIT: %v", step.kind, step.body, got)
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
