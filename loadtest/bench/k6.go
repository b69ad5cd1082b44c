package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/JDevAman/kizo/loadtest/k6"
	"github.com/JDevAman/kizo/loadtest/rig"
)

const (
	k6Slack  = 90 * time.Second // for k6 to start, and for its last iterations
	freshFor = 14 * time.Minute // access tokens are valid for 15

	profileUsers = 100         // virtual users of the profile
	thinkTime    = time.Second // of each, between two rounds
)

// manyAddresses: each virtual user has an address of its own, and is limited by address
// as users are. Elsewhere than on Linux 127.0.0.1 is the only loopback address.
const manyAddresses = runtime.GOOS == "linux"

// runK6 runs a script and adds what it counted to the report.
func runK6(ctx context.Context, b *bench) error {
	if _, err := os.Stat(b.k6); err != nil {
		return fmt.Errorf("k6 is missing (`make loadtest` installs it, -k6 names another): %w", err)
	}
	if err := b.rig.Refresh(ctx, b.users, freshFor); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kizo-k6-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	env, err := b.prepareK6(ctx, dir)
	if err != nil {
		return err
	}
	got, err := b.startK6(ctx, dir, env)
	if err != nil {
		return err
	}
	for _, p := range got.phases {
		b.expectMoney(p.Step, rig.Sum{Count: p.Accepted, Minor: p.Minor}, p.Unknown)
	}
	b.report.Phases, b.report.Checks = append(b.report.Phases, got.phases...), append(b.report.Checks, got.checks...)
	if add := b.scenario.k6.addChecks; add != nil {
		add(&b.report)
	}
	return nil
}

// prepareK6 writes the scripts and the users to dir, which other users of the machine
// cannot read, and returns k6's environment.
func (b *bench) prepareK6(ctx context.Context, dir string) (env []string, err error) {
	if err := os.CopyFS(dir, k6.Scripts); err != nil {
		return nil, err
	}
	users, err := json.Marshal(b.users) //nolint:gosec // passwords of this run only, into a private file
	if err != nil {
		return nil, err
	}
	env = rig.ChildEnvironment(
		"BASE_URL="+b.rig.URL(), "RUN_ID="+rand.Text(), "DURATION="+strconv.FormatFloat(b.duration.Seconds(), 'f', -1, 64)+"s",
		"USERS_FILE="+filepath.Join(dir, "users.json"), "RESULT_FILE="+filepath.Join(dir, "result.json"),
		"K6_NO_USAGE_REPORT=true", "K6_AUTO_EXTENSION_RESOLUTION=false",
	)
	if b.vus > 0 {
		env = append(env, "VUS="+strconv.Itoa(b.vus))
	}
	if b.scenario.k6.hashes {
		hashed, err := b.hashRate(ctx, 3*time.Second)
		if err != nil {
			return nil, err
		}
		rate := int(hashed.PerSecond()*b.factor) + 1
		allowed := signInTarget(cmp.Or(b.vus, profileUsers), hashed.PerSecond())
		env = append(env, "STORM_RATE="+strconv.Itoa(rate), "SIGNIN_ALLOWED="+strconv.FormatInt(allowed.Milliseconds(), 10))
		b.report.Notes = append(b.report.Notes, fmt.Sprintf("kizod signed in %.0f users per second without other load; a storm of %g times that is %d per second.",
			hashed.PerSecond(), b.factor, rate))
	}
	return env, os.WriteFile(filepath.Join(dir, "users.json"), users, 0o600)
}

// signInTarget is the target for the p99 of sign-ins in the profile: 1.2 times what a
// closed loop of so many users has to wait when rate sign-ins per second can be hashed.
// Each round of a user is one sign-in and the think time, so that a sign-in takes
// users/rate less that time, and never less than the hashes in flight at that moment.
func signInTarget(users int, rate float64) time.Duration {
	const shortest = 500 * time.Millisecond
	wait := time.Duration(float64(users)/rate*float64(time.Second)) - thinkTime
	return max(wait, shortest) * 12 / 10
}

// startK6 runs the script to its end.
func (b *bench) startK6(ctx context.Context, dir string, env []string) (*k6Result, error) {
	args := []string{"run", "--quiet", "--no-color", "--address", "", filepath.Join(dir, b.scenario.k6.file)}
	if manyAddresses {
		args = append(args, "--local-ips", "127.7.0.1-127.7.7.250")
	}
	length := b.scenario.k6.length(b.duration)
	ctx, cancel := context.WithTimeout(ctx, length+k6Slack)
	defer cancel()
	b.logf("%s: %s", b.scenario.name, length)
	before, peak := b.rig.Gauge(ctx), b.rig.WatchRSS()
	output := filepath.Join(dir, "k6.log")
	p, err := rig.Spawn(b.k6, args, env, output)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.End(10 * time.Second)
		return nil, fmt.Errorf("k6 was stopped: %w\n%s", ctx.Err(), rig.Tail(output))
	}
	spent := b.rig.Gauge(ctx).Since(before)
	spent.Generator += p.CPU()
	b.report.Spent, b.report.PeakRSS = b.report.Spent.Plus(spent), peak()
	if err := b.rig.Alive(); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if err != nil {
		return nil, fmt.Errorf("k6 wrote no result: %w\n%s", errors.Join(err, p.Err()), rig.Tail(output))
	}
	if warnings := withoutThresholds(rig.Tail(output)); warnings != "" {
		b.report.Notes = append(b.report.Notes, "The end of k6's log:\n\n```\n"+warnings+"\n```")
	}
	return parseResult(text)
}

// withoutThresholds leaves out the line about missed thresholds, which the report lists.
func withoutThresholds(log string) string {
	lines := slices.DeleteFunc(strings.Split(log, "\n"), func(line string) bool { return strings.Contains(line, "thresholds on metrics") })
	return strings.Join(lines, "\n")
}

// errorsLogged counts the errors in kizod's log.
func errorsLogged(path string) Check {
	check := Check{What: "errors in kizod's log", Target: "0"}
	log, err := os.Open(path)
	if err != nil {
		check.Value = err.Error()
		return check
	}
	defer log.Close()
	count, first := 0, ""
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"level":"ERROR"`) {
			count++
			first = cmp.Or(first, fmt.Sprintf(", first: %.300s", lines.Text()))
		}
	}
	check.Value, check.Met = strconv.Itoa(count)+first, count == 0
	if err := lines.Err(); err != nil {
		check.Value, check.Met = err.Error(), false
	}
	return check
}

// k6Result is what a script reported (see report in lib.js).
type k6Result struct {
	phases []Phase
	checks []Check
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
		Phases  [][2]any          `json:"phases"` // name, seconds; a name may occur more than once
		Metrics map[string]metric `json:"metrics"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("read k6's result: %w", err)
	}
	var names []string
	lengths := make(map[string]float64)
	for _, part := range in.Phases {
		name, _ := part[0].(string)
		length, ok := part[1].(float64)
		if !ok {
			return nil, fmt.Errorf("read k6's result: %v is no phase", part)
		}
		names = append(names, name)
		lengths[name] += length
	}
	r := &k6Result{}
	found := make(map[[2]string]Phase)
	for _, name := range slices.Sorted(maps.Keys(in.Metrics)) {
		m := in.Metrics[name]
		r.checks = append(r.checks, m.checks(name)...)
		if parts := strings.Split(name, "__"); len(parts) == 3 { // not one of k6's own
			step, phase := parts[0], parts[1]
			p := found[[2]string{step, phase}]
			p.Step, p.Name, p.Seconds = step, phase, lengths[phase]
			m.into(&p, parts[2])
			found[[2]string{step, phase}] = p
		}
	}
	r.phases = slices.SortedFunc(maps.Values(found), func(a, b Phase) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(slices.Index(names, a.Name), slices.Index(names, b.Name)))
	})
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
