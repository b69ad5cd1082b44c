package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
func (b *bench) runK6(ctx context.Context, s k6Scenario) error {
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
	env, err := b.prepareK6(ctx, dir, s)
	if err != nil {
		return err
	}
	got, err := b.startK6(ctx, dir, env, s)
	if err != nil {
		return err
	}
	for _, p := range got.phases {
		b.expectMoney(p.Step, rig.Sum{Count: p.Accepted, Minor: p.Minor}, p.Unknown)
	}
	b.report.Phases, b.report.Checks = append(b.report.Phases, got.phases...), append(b.report.Checks, got.checks...)
	if s.addChecks != nil {
		s.addChecks(&b.report)
	}
	return nil
}

// prepareK6 writes the scripts and the users to dir, which other users of the machine
// cannot read, and returns k6's environment.
func (b *bench) prepareK6(ctx context.Context, dir string, s k6Scenario) (env []string, err error) {
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
	if s.hashes {
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
func (b *bench) startK6(ctx context.Context, dir string, env []string, s k6Scenario) (*k6Result, error) {
	args := []string{"run", "--quiet", "--no-color", "--address", "", filepath.Join(dir, s.script)}
	if manyAddresses {
		args = append(args, "--local-ips", "127.7.0.1-127.7.7.250")
	}
	length := s.length(b.duration)
	ctx, cancel := context.WithTimeout(ctx, length+k6Slack)
	defer cancel()
	b.logf("%s: %s", s.name, length)
	before, peak := b.rig.Gauge(), b.rig.WatchRSS()
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
	spent := b.rig.Gauge().Since(before)
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

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// errorsLogged counts the errors in kizod's log from an offset on.
func errorsLogged(path string, from int64) Check {
	check := Check{What: "errors in kizod's log", Target: "0"}
	contents, err := readFrom(path, from)
	if err != nil {
		check.Value = err.Error()
		return check
	}
	isError := []byte(`"level":"ERROR"`)
	n := bytes.Count(contents, isError)
	check.Value, check.Met = strconv.Itoa(n), n == 0
	if i := bytes.Index(contents, isError); i >= 0 {
		first := contents[bytes.LastIndexByte(contents[:i], '\n')+1:]
		first, _, _ = bytes.Cut(first, []byte("\n"))
		check.Value += ", first: " + string(first[:min(len(first), 300)])
	}
	return check
}

func readFrom(path string, from int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return nil, err
	}
	const maxLog = 256 << 20
	contents, err := io.ReadAll(io.LimitReader(file, maxLog))
	if err == nil && len(contents) == maxLog {
		err = errors.New("the log is too long to be searched")
	}
	return contents, err
}
