package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// mutantStress is a fault run that reveals some bugs.
type mutantStress struct {
	stress
	lies float64 // share of the bank's answers that are wrong
}

// stresses are the fault runs for mutants. The counts are those of five minutes.
var stresses = map[string]mutantStress{
	"bank":            {stress: stress{kills: 20, bankKills: 20}},
	"lying-bank":      {stress: stress{kills: 20, bankKills: 20}, lies: 0.2},
	"kills":           {stress: stress{kills: 200, dying: 1}},
	"stopped-workers": {stress: stress{stops: 400, bankKills: 20}},
	"lost-commits":    {stress: stress{commits: 250, cuts: 40}},
	"no-redis":        {stress: stress{kills: 60, redisKills: 60, flushes: 40}},
}

// Bounds of one mutant.
const (
	mutantRounds    = 3 // how often its check is repeated until it notices the bug
	mutantTestsTake = 5 * time.Minute
)

// itself is the rule that is broken if a run with the bug cannot begin.
const itself = "the run itself"

// mutantRun runs the check of one mutant after the other.
type mutantRun struct {
	options options
	root    string // of the module
	dir     string // for copies and binaries
}

// runMutants checks that each mutant is caught, and prints which check caught it.
func runMutants(ctx context.Context, o options, w io.Writer) error {
	all, err := readMutants()
	if err != nil {
		return err
	}
	listed := slices.DeleteFunc(all, func(m mutant) bool {
		return !o.wants(m.name) || o.byFaultRun && m.load == ""
	})
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	dir, err := os.MkdirTemp("", "kizo-mutants-")
	if err != nil {
		return fmt.Errorf("make a directory to build in: %w", err)
	}
	defer os.RemoveAll(dir)
	r := &mutantRun{options: o, root: strings.TrimSpace(string(root)), dir: dir}
	overlays := make([]string, len(listed))
	for i := range listed {
		if overlays[i], err = listed[i].overlay(r.root, dir); err != nil {
			return fmt.Errorf("mutants/%s.patch no longer applies: %w", listed[i].name, err)
		}
	}
	if !o.byFaultRun {
		if err := r.passWithoutBugs(ctx, listed); err != nil {
			return err
		}
	}
	fmt.Fprint(w, "| Mutant | Bug | Caught by | After |\n|---|---|---|---|\n")
	count := 0
	for i := range listed {
		m, began := &listed[i], time.Now()
		caught, err := r.check(ctx, m, overlays[i])
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		by := "**not caught**"
		if len(caught) > 0 {
			by = strings.Join(caught, ", ")
			count++
		}
		fmt.Fprintf(w, "| %s | %s | %s | %.0f s |\n", m.name, m.bug, by, time.Since(began).Seconds())
	}
	fmt.Fprintf(w, "\nmutants caught = %d of %d listed\n", count, len(listed))
	if count < len(listed) {
		return errors.New("a mutant was not caught")
	}
	return nil
}

func (o options) wants(name string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), name)
}

// passWithoutBugs runs the tests that the mutants name on the source as it is: a test that
// fails anyway catches nothing.
func (r *mutantRun) passWithoutBugs(ctx context.Context, listed []mutant) error {
	tests := make(map[string][]string)
	for _, m := range listed {
		tests[m.pkg] = append(tests[m.pkg], m.tests...)
	}
	delete(tests, "") // mutants for the fault run
	for _, pkg := range slices.Sorted(maps.Keys(tests)) {
		binary, err := r.buildTests(ctx, pkg)
		if err != nil {
			return err
		}
		failed, err := r.runTests(ctx, binary, pkg, tests[pkg])
		if err != nil {
			return err
		}
		if len(failed) > 0 {
			return fmt.Errorf("without any bug, tests of %s fail: %s", pkg, strings.Join(failed, ", "))
		}
	}
	return nil
}

// check returns what noticed the bug.
func (r *mutantRun) check(ctx context.Context, m *mutant, overlay string) (caught []string, err error) {
	if m.pkg == "" || r.options.byFaultRun {
		return r.checkByFaultRun(ctx, m, overlay)
	}
	binary, err := r.buildTests(ctx, m.pkg, "-overlay", overlay)
	if err != nil {
		return nil, err
	}
	for round := 0; round < mutantRounds && len(caught) == 0; round++ {
		if caught, err = r.runTests(ctx, binary, m.pkg, m.tests); err != nil {
			return nil, err
		}
	}
	return caught, nil
}

func (r *mutantRun) buildTests(ctx context.Context, pkg string, flags ...string) (string, error) {
	binary := filepath.Join(r.dir, "tests")
	args := append([]string{"test", "-c", "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = r.root
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the tests of %s: %w\n%s", pkg, err, output)
	}
	return binary, nil
}

var failedTest = regexp.MustCompile(`(?m)^--- FAIL: (\S+)|^(panic: .*)`)

// runTests returns which of the tests fail.
func (r *mutantRun) runTests(ctx context.Context, binary, pkg string, tests []string) (failed []string, err error) {
	cmd := exec.CommandContext(ctx, binary, "-test.failfast", "-test.timeout", mutantTestsTake.String(),
		"-test.run", "^("+strings.Join(tests, "|")+")$")
	cmd.Dir = filepath.Join(r.root, filepath.FromSlash(pkg))
	cmd.Env = append(os.Environ(), "RAPID_NOFAILFILE=true") // what a bug breaks is no example to keep
	output, err := cmd.CombinedOutput()
	if err == nil {
		return nil, nil
	}
	for _, match := range failedTest.FindAllStringSubmatch(string(output), -1) {
		if found := match[1] + match[2]; !slices.Contains(failed, found) {
			failed = append(failed, found)
		}
	}
	if len(failed) == 0 || ctx.Err() != nil {
		return nil, fmt.Errorf("run tests of %s: %w\n%s", pkg, err, output)
	}
	fmt.Fprintf(r.options.log, "%s\n", output)
	return failed, nil
}

// checkByFaultRun runs kizod with the bug until a rule is broken that the mutant names. Each
// round has another seed.
func (r *mutantRun) checkByFaultRun(ctx context.Context, m *mutant, overlay string) (caught []string, err error) {
	o := r.options
	o.binary = filepath.Join(r.dir, "kizod")
	if err := rig.Build(ctx, o.binary, "-tags", "failpoints", "-overlay", overlay); err != nil {
		return nil, err
	}
	s := stresses[m.load]
	o.stress, o.lies, o.failFast, o.points, o.mutants = s.stress, s.lies, true, false, false
	o.bankHeavy = m.load == "stopped-workers" // a stopped worker needs a payment in progress
	o.duration, o.summary, o.keep, o.log = 12*time.Second, "", "", io.Discard
	for range mutantRounds {
		broken, err := brokenRules(ctx, o)
		if err != nil {
			return nil, err
		}
		if caught = m.catches(broken); len(caught) > 0 {
			return caught, nil
		}
		fmt.Fprintf(r.options.log, "%s: seed %d broke %q\n", m.name, o.seed, broken)
		o.seed++
	}
	return nil, nil
}

func brokenRules(ctx context.Context, o options) ([]string, error) {
	result, unusable := run(ctx, o)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if unusable != nil { // with the bug, kizod cannot be used at all
		return []string{itself}, nil //nolint:nilerr // that is a finding
	}
	_, counts := result.found.all()
	return slices.Sorted(maps.Keys(counts)), nil
}
