package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// binary is the k6 that `make loadtest` installs; tests that need it are skipped
// where it is missing, since it takes minutes to build.
func binary(t *testing.T) string {
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

// What a script reports is read in the order of its phases, with all that it counted.
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
	want := []rig.Step{
		{Name: "transfer", Phase: "uniform", Seconds: 10, Accepted: 20},
		{
			Name: "transfer", Phase: "hot", Seconds: 5, Accepted: 10, Refused: 2, Failed: 3, Unknown: 4, Minor: 50,
			Latency: rig.Latency{P50: 1, P90: 2, P99: 3, P999: 4, Max: 5}, Refusal: rig.Latency{P99: 7},
		},
	}
	if len(got.steps) != 2 || got.steps[0] != want[0] || got.steps[1] != want[1] {
		t.Errorf("got %+v", got.steps)
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

// A figure is judged by its target, and one that is missing is never good.
func TestJudges(t *testing.T) {
	step := func(name, phase string, p99 float64, accepted, refused int64) rig.Step {
		return rig.Step{
			Name: name, Phase: phase, Seconds: 10, Accepted: accepted, Refused: refused,
			Latency: rig.Latency{P99: p99}, Refusal: rig.Latency{P99: p99},
		}
	}
	for _, c := range []struct {
		name  string
		judge func(steps) []rig.Check
		steps steps
		met   string
	}{
		{"calm storm", judgeStorm, steps{step("transfer", "quiet", 10, 1, 0), step("transfer", "storm", 12, 1, 0), step("wrong_password", "storm", 50, 1, 1)}, "yyy"},
		{"loud storm", judgeStorm, steps{step("transfer", "quiet", 10, 1, 0), step("transfer", "storm", 51, 1, 0), step("wrong_password", "storm", 51, 1, 1)}, "nnn"},
		{"no storm", judgeStorm, steps{step("transfer", "quiet", 10, 1, 0)}, "ny"},
		{"hot is as good", judgeHot, steps{step("transfer", "uniform", 1, 100, 0), step("transfer", "hot", 1, 90, 0)}, "y"},
		{"hot is slow", judgeHot, steps{step("transfer", "uniform", 1, 100, 0), step("transfer", "hot", 1, 89, 0)}, "n"},
		{"nothing happened", judgeHot, nil, "n"},
		{"spike forgotten", judgeSpike, steps{step("transfer", "before", 10, 1, 0), step("transfer", "after", 12, 1, 0)}, "y"},
		{"spike remembered", judgeSpike, steps{step("transfer", "before", 10, 1, 0), step("transfer", "after", 13, 1, 0)}, "n"},
	} {
		met := ""
		for _, check := range c.judge(c.steps) {
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
		{"", true},
		{"-scenario all -duration 5m", true},
		{"-scenario k6-soak -duration 3h", true},
		{"-scenario k6-hot-receiver,k6-spike", true},
		{"-scenario k6-hot-receiver -duration 20m", false}, // tokens would run out
		{"-scenario k6-nothing", false},
		{"-users 1", false},
		{"-duration -1s", false},
		{"profile", false},
	} {
		if _, err := parse(strings.Fields(c.args), io.Discard); (err == nil) != c.good {
			t.Errorf("%q: %v", c.args, err)
		}
	}
}

// k6 understands every script, and every scenario has its own.
func TestScriptsInspect(t *testing.T) {
	k6 := binary(t)
	users := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(users, []byte(`[{"handle": "a"}, {"handle": "b"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		cmd := exec.CommandContext(t.Context(), k6, "inspect", "--include-system-env-vars", s.script)
		cmd.Env = rig.ChildEnvironment("BASE_URL=http://127.0.0.1:1", "RUN_ID=x", "USERS_FILE="+users, "RESULT_FILE=x", "STORM_RATE=10", "DURATION=8s")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", s.script, err, out)
		}
	}
}

// A whole run, small: what k6 says was accepted stands in the books.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("starts everything")
	}
	var out strings.Builder
	reports := t.TempDir()
	args := []string{"-k6", binary(t), "-users", "4", "-scenario", "k6-hot-receiver", "-duration", "2s", "-vus", "3", "-report", reports}
	if err := run(t.Context(), args, &out, t.Output()); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "| yes |") || !strings.Contains(out.String(), " checks passed") {
		t.Errorf("the report:\n%s", out.String())
	}
	if files, _ := filepath.Glob(filepath.Join(reports, "*-k6-hot-receiver.*")); len(files) != 2 {
		t.Errorf("reports: %q", files)
	}
}

func TestSignInAllowed(t *testing.T) {
	for _, c := range []struct {
		users int
		rate  float64
		want  time.Duration
	}{
		{100, 50, 1200 * time.Millisecond}, {100, 25, 3600 * time.Millisecond}, {100, 200, 600 * time.Millisecond}, {10, 1, 10800 * time.Millisecond},
	} {
		if got := signInAllowed(c.users, c.rate); got != c.want {
			t.Errorf("%d users at %g/s: %v, want %v", c.users, c.rate, got, c.want)
		}
	}
}
