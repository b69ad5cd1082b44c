package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"embed"
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

	"github.com/JDevAman/kizo/loadtest/rig"
)

//go:embed *.js
var scripts embed.FS

// Bounds on what has no other.
const (
	slack        = 90 * time.Second // k6 starts, and waits for what is under way
	settleWithin = 2 * time.Minute
	auditWithin  = 10 * time.Minute
	endWithin    = 10 * time.Second
	// Tokens live for 15 minutes; a load that is longer renews its own.
	freshFor = 14 * time.Minute
)

// manyAddresses: each virtual user has an address of its own, as people have, and is
// limited by address as they are. Elsewhere 127.0.0.1 is the only one of loopback.
const manyAddresses = runtime.GOOS == "linux"

// load is one run of a scenario.
type load struct {
	options
	scenario *scenario
	rig      *rig.Rig
	users    []rig.User
	report   rig.Report
}

func (l *load) run(ctx context.Context, out io.Writer) error {
	if err := l.rig.Refresh(ctx, l.users, freshFor); err != nil {
		return err
	}
	l.report = rig.Report{Scenario: l.scenario.name, Sentence: l.scenario.sentence, Command: "go run ./loadtest/k6 " + strings.Join(l.args, " ")}
	var err error
	if l.report.Environment, err = l.rig.Environment(ctx); err != nil {
		return err
	}
	dir, env, err := l.prepare(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	before, err := l.rig.Books(ctx)
	if err != nil {
		return err
	}
	logged := size(l.rig.KizodLog())
	result, err := l.k6(ctx, dir, env)
	if err != nil {
		return fmt.Errorf("%s: %w", l.scenario.name, err)
	}
	if err := l.conclude(ctx, result, before); err != nil {
		return fmt.Errorf("%s: %w", l.scenario.name, err)
	}
	l.report.Checks = append(l.report.Checks, errorsLogged(l.rig.KizodLog(), logged))
	return l.publish(out)
}

// prepare writes what k6 reads into a directory that nobody else can read.
func (l *load) prepare(ctx context.Context) (dir string, env []string, err error) {
	if dir, err = os.MkdirTemp("", "kizo-k6-"); err != nil {
		return "", nil, err
	}
	if err := os.CopyFS(dir, scripts); err != nil {
		return dir, nil, err
	}
	users, err := json.Marshal(l.users) //nolint:gosec // passwords of the load alone, into a file that is ours
	if err != nil {
		return dir, nil, err
	}
	env = rig.ChildEnvironment(
		"BASE_URL="+l.rig.URL(), "RUN_ID="+rand.Text(), "DURATION="+strconv.FormatFloat(l.length().Seconds(), 'f', -1, 64)+"s",
		"USERS_FILE="+filepath.Join(dir, "users.json"), "RESULT_FILE="+filepath.Join(dir, "result.json"),
		"K6_NO_USAGE_REPORT=true", "K6_AUTO_EXTENSION_RESOLUTION=false",
	)
	if l.vus > 0 {
		env = append(env, "VUS="+strconv.Itoa(l.vus))
	}
	if l.scenario.hashes {
		capacity, err := signIns(ctx, l.rig.URL(), l.users)
		if err != nil {
			return dir, nil, err
		}
		rate := int(capacity*l.storm) + 1
		allowed := signInAllowed(cmp.Or(l.vus, crowd), capacity)
		env = append(env, "STORM_RATE="+strconv.Itoa(rate), "SIGNIN_ALLOWED="+strconv.FormatInt(allowed.Milliseconds(), 10))
		l.report.Notes = append(l.report.Notes, fmt.Sprintf("kizod signed in %.0f users a second when it did nothing else; a storm of %g times that is %d a second.", capacity, l.storm, rate))
	}
	return dir, env, os.WriteFile(filepath.Join(dir, "users.json"), users, 0o600)
}

func (l *load) length() time.Duration { return cmp.Or(l.duration, l.scenario.duration) }

// k6 runs the script to its end, at most so long as it may take.
func (l *load) k6(ctx context.Context, dir string, env []string) (*result, error) {
	args := []string{"run", "--quiet", "--no-color", "--address", "", filepath.Join(dir, l.scenario.script)}
	if manyAddresses {
		args = append(args, "--local-ips", "127.7.0.1-127.7.7.250")
	}
	ctx, cancel := context.WithTimeout(ctx, l.scenario.length(l.length())+slack)
	defer cancel()
	fmt.Fprintf(l.log, "%s  %s: %s\n", time.Now().Format("15:04:05"), l.scenario.name, l.scenario.length(l.length()))
	began, most := l.rig.Gauge(), l.rig.WatchRSS()
	output := filepath.Join(dir, "k6.log")
	p, err := rig.Spawn(l.options.k6, args, env, output)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.End(endWithin)
		return nil, fmt.Errorf("ended before its time: %w\n%s", ctx.Err(), rig.Tail(output))
	}
	l.report.Began, l.report.Took = began.At, time.Since(began.At)
	l.report.Spent, l.report.PeakRSS = l.rig.Gauge().Since(began), most()
	l.report.Spent.Generator += p.CPU()
	if err := l.rig.Alive(); err != nil {
		return nil, err
	}
	got, err := readResult(filepath.Join(dir, "result.json"))
	if err != nil {
		return nil, fmt.Errorf("k6 left no result: %w\n%s", errors.Join(err, p.Err()), rig.Tail(output))
	}
	if trouble := withoutThresholds(rig.Tail(output)); trouble != "" {
		l.report.Notes = append(l.report.Notes, "The last of what k6 logged:\n\n```\n"+trouble+"\n```")
	}
	return got, nil
}

// withoutThresholds leaves out the line that says what the report has in a table.
func withoutThresholds(log string) string {
	lines := slices.DeleteFunc(strings.Split(log, "\n"), func(line string) bool { return strings.Contains(line, "thresholds on metrics") })
	return strings.Join(lines, "\n")
}

// conclude waits until all money has settled, and compares.
func (l *load) conclude(ctx context.Context, got *result, before rig.Books) error {
	l.report.Steps, l.report.Checks = got.steps, got.checks
	if l.scenario.judge != nil {
		l.report.Checks = append(l.report.Checks, l.scenario.judge(got.steps)...)
	}
	settling, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	began := time.Now()
	if err := l.rig.WaitSettled(settling); err != nil {
		return err
	}
	l.report.SettledIn = time.Since(began)
	after, err := l.rig.Books(ctx)
	if err != nil {
		return err
	}
	l.report.CompareMoney(after.Since(before))
	auditing, cancel := context.WithTimeout(ctx, auditWithin)
	defer cancel()
	began = time.Now()
	text, err := l.rig.Audit(auditing)
	if err != nil {
		return err
	}
	l.report.Audit = fmt.Sprintf("%d checks passed in %.1f s", strings.Count(text, "\nok "), time.Since(began).Seconds())
	return nil
}

func (l *load) publish(out io.Writer) error {
	l.report.WriteMarkdown(out)
	path, err := l.report.WriteFiles(l.reports)
	if err != nil {
		return err
	}
	fmt.Fprintf(l.log, "%s.md and .json\n", path)
	if wrong := l.report.Wrong(); len(wrong) > 0 {
		return fmt.Errorf("%s: the books do not have what was accepted: %s", l.scenario.name, strings.Join(wrong, "; "))
	}
	if missed := l.report.Missed(); l.strict && len(missed) > 0 {
		return fmt.Errorf("%s: targets were missed: %s", l.scenario.name, strings.Join(missed, "; "))
	}
	return nil
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// errorsLogged looks for what kizod found wrong with itself.
func errorsLogged(path string, from int64) rig.Check {
	check := rig.Check{What: "errors in kizod's log", Target: "0"}
	contents, err := readFrom(path, from)
	if err != nil {
		check.Value = err.Error()
		return check
	}
	n := bytes.Count(contents, []byte(`"level":"ERROR"`))
	check.Value, check.Met = strconv.Itoa(n), n == 0
	if i := bytes.Index(contents, []byte(`"level":"ERROR"`)); i >= 0 {
		line := contents[bytes.LastIndexByte(contents[:i], '\n')+1:]
		line, _, _ = bytes.Cut(line, []byte("\n"))
		check.Value += ", first: " + string(line[:min(len(line), 300)])
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
	const most = 256 << 20
	contents, err := io.ReadAll(io.LimitReader(file, most))
	if err == nil && len(contents) == most {
		err = errors.New("the log is too long to be looked through")
	}
	return contents, err
}
