package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// k6Binary is the k6 that `make loadtest` installs; tests that need it are skipped
// without it, since it takes minutes to build.
func k6Binary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/tools/k6-v1.8.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("no k6: `make loadtest` installs it")
	}
	return path
}

// The result of a script is read in the order of its phases, with everything that it counted.
func TestParseResult(t *testing.T) {
	const text = `{"phases": [["uniform", 5], ["hot", 5], ["uniform", 5]], "metrics": {
		"transfer__hot__took": {"values": {"count": 10, "p(50)": 1, "p(90)": 2, "p(99)": 3, "p(99.9)": 4, "max": 5},
			"thresholds": {"p(99)<2": {"ok": false}}},
		"transfer__hot__refused": {"values": {"count": 2, "p(99)": 7}},
		"transfer__hot__failed": {"values": {"count": 3, "rate": 1}},
		"transfer__hot__unknown": {"values": {"count": 4, "rate": 1}},
		"transfer__hot__minor": {"values": {"count": 50, "rate": 1}},
		"transfer__uniform__took": {"values": {"count": 20}},
		"checks": {"values": {"rate": 0.5}, "thresholds": {"rate==1": {"ok": false}}},
		"dropped_iterations": {"values": {"count": 6}}, "iterations": {"values": {"count": 94}},
		"http_reqs": {"values": {"count": 99}}}}`
	got, err := parseResult([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []Phase{
		{Step: "transfer", Name: "uniform", Seconds: 10, Accepted: 20},
		{
			Step: "transfer", Name: "hot", Seconds: 5, Accepted: 10, Shed: 2, Failed: 3, Unknown: 4, Minor: 50,
			Latency: Latency{P50: 1, P90: 2, P99: 3, P999: 4, Max: 5}, ShedIn: &Latency{P99: 7},
		},
	}
	if !reflect.DeepEqual(got.phases, want) {
		t.Errorf("got %+v", got.phases)
	}
	if len(got.checks) != 3 || got.checks[2].Met || got.checks[2].Value != "6 of 100" || got.checks[0].Met || got.checks[0].Value != "50.0000 %" || got.checks[1].Value != "3.0 ms" {
		t.Errorf("checks: %+v", got.checks)
	}
	for _, broken := range []string{``, `{}`, `{"phases": [["a"]], "metrics": 1}`} {
		if _, err := parseResult([]byte(broken)); err == nil {
			t.Errorf("%q was read", broken)
		}
	}
}

// A figure is compared with its target, and a missing one always misses it.
func TestChecks(t *testing.T) {
	step := func(step, name string, p99 float64, accepted, shed int64) Phase {
		return Phase{
			Step: step, Name: name, Seconds: 10, Accepted: accepted, Shed: shed, Latency: Latency{P99: p99}, ShedIn: &Latency{P99: p99},
		}
	}
	for _, c := range []struct {
		name      string
		addChecks func(*Report)
		steps     []Phase
		met       string
	}{
		{"calm storm", checkStorm, []Phase{step("transfer", "quiet", 10, 1, 0), step("transfer", "storm", 12, 1, 0), step("wrong_password", "storm", 50, 1, 1)}, "yyy"},
		{"loud storm", checkStorm, []Phase{step("transfer", "quiet", 10, 1, 0), step("transfer", "storm", 51, 1, 0), step("wrong_password", "storm", 51, 1, 1)}, "nnn"},
		{"no storm", checkStorm, []Phase{step("transfer", "quiet", 10, 1, 0)}, "ny"},
		{"hot is as good", checkHot, []Phase{step("transfer", "uniform", 1, 100, 0), step("transfer", "hot", 1, 90, 0)}, "y"},
		{"hot is slow", checkHot, []Phase{step("transfer", "uniform", 1, 100, 0), step("transfer", "hot", 1, 89, 0)}, "n"},
		{"nothing happened", checkHot, nil, "n"},
		{"spike forgotten", checkSpike, []Phase{step("transfer", "before", 10, 1, 0), step("transfer", "after", 12, 1, 0)}, "y"},
		{"spike remembered", checkSpike, []Phase{step("transfer", "before", 10, 1, 0), step("transfer", "after", 13, 1, 0)}, "n"},
	} {
		met := ""
		r := Report{Phases: c.steps}
		c.addChecks(&r)
		for _, check := range r.Checks {
			met += map[bool]string{true: "y", false: "n"}[check.Met]
		}
		if met != c.met {
			t.Errorf("%s: %s, want %s", c.name, met, c.met)
		}
	}
}

func TestParseOptions(t *testing.T) {
	for _, c := range []struct {
		args string
		good bool
	}{
		{"run k6-profile", true},
		{"run ledger -only ledger,ledger-hot -sql VACUUM -set fsync=on", true},
		{"run growth -sizes 100,10", true},
		{"run k6-soak -duration 3h", true},
		{"run k6-hot-receiver k6-spike -strict", true},
		{"run k6-hot-receiver -duration 20m", false}, // tokens would expire
		{"run http -duration 20m", false},
		{"run k6-nothing", false},
		{"run", false},
		{"", false},
		{"run http -users 1", false},
		{"run http -duration -1s", false},
		{"run http -set fsync", false},
		{"run growth -sizes ten", false},
		{"run http -strict idle", false},
		{"http", false},
	} {
		if _, _, err := parse(strings.Fields(c.args)); (err == nil) != c.good {
			t.Errorf("%q: %v", c.args, err)
		}
	}
}

// k6 reads every script, and every scenario has one.
func TestScriptsInspect(t *testing.T) {
	k6 := k6Binary(t)
	users := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(users, []byte(`[{"handle": "a"}, {"handle": "b"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range k6Scenarios() {
		cmd := exec.CommandContext(t.Context(), k6, "inspect", "--include-system-env-vars", filepath.Join("../k6", s.k6.file))
		cmd.Env = rig.ChildEnvironment("BASE_URL=http://127.0.0.1:1", "RUN_ID=x", "USERS_FILE="+users, "RESULT_FILE=x", "STORM_RATE=10", "DURATION=8s")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", s.k6.file, err, out)
		}
	}
}

// A short run with k6: the database contains what k6 counted as accepted.
func TestRunK6(t *testing.T) {
	if testing.Short() {
		t.Skip("starts everything")
	}
	var out strings.Builder
	reports := t.TempDir()
	args := []string{"run", "k6-hot-receiver", "-k6", k6Binary(t), "-users", "4", "-duration", "2s", "-vus", "3", "-report", reports}
	if err := command(t.Context(), args, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "| yes |") || !strings.Contains(out.String(), " checks passed") {
		t.Errorf("the report:\n%s", out.String())
	}
	if files, _ := filepath.Glob(filepath.Join(reports, "*-k6-hot-receiver.*")); len(files) != 2 {
		t.Errorf("reports: %q", files)
	}
}

func TestSignInTarget(t *testing.T) {
	for _, c := range []struct {
		users int
		rate  float64
		want  time.Duration
	}{
		{100, 50, 1200 * time.Millisecond}, {100, 25, 3600 * time.Millisecond}, {100, 200, 600 * time.Millisecond}, {10, 1, 10800 * time.Millisecond},
	} {
		if got := signInTarget(c.users, c.rate); got != c.want {
			t.Errorf("%d users at %g/s: %v, want %v", c.users, c.rate, got, c.want)
		}
	}
}
