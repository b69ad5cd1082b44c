package main

import (
	"context"
	"embed"
	"encoding/json"
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

//go:embed mutants/*.patch
var patches embed.FS

// mutant is a patch that plants one bug. It is applied to copies of the source files, which
// the go command reads in place of the files (-overlay); the source tree never changes.
//
// The lines before the diff say what must notice the bug, and what the bug is. A mutant is
// caught when one of the named tests fails; where there are none, or with -by-fault-run, when
// one of the named rules of the fault run is broken (see check*.go):
//
//	Caught by: test ./server/ledger TestLostCommit TestLostCommitOfExpiry
//	Caught by: fault run lost-commits: balances, history: ghost
//	Bug: a COMMIT without an answer is reported as a failure
type mutant struct {
	name  string
	bug   string
	pkg   string   // package of tests, or ""
	tests []string // of pkg
	load  string   // name of the fault run's stress (see stresses), or ""
	rules []string // of the fault run
	files []patchedFile
}

// patchedFile is one file of a patch, named from the module's root.
type patchedFile struct {
	path  string
	hunks []hunk
}

// hunk replaces one place of a file.
type hunk struct{ before, after string }

// readMutants returns all mutants in order of their names.
func readMutants() ([]mutant, error) {
	entries, err := patches.ReadDir("mutants")
	if err != nil {
		return nil, err
	}
	mutants := make([]mutant, 0, len(entries))
	for _, entry := range entries {
		text, err := patches.ReadFile("mutants/" + entry.Name())
		if err != nil {
			return nil, err
		}
		m, err := parseMutant(strings.TrimSuffix(entry.Name(), ".patch"), string(text))
		if err != nil {
			return nil, fmt.Errorf("mutants/%s: %w", entry.Name(), err)
		}
		mutants = append(mutants, m)
	}
	return mutants, nil
}

func parseMutant(name, text string) (mutant, error) {
	header, diff, ok := strings.Cut(text, "\n--- ")
	if !ok {
		return mutant{}, errors.New("there is no diff")
	}
	m := mutant{name: name}
	for line := range strings.SplitSeq(header, "\n") {
		if err := m.addHeader(line); err != nil {
			return mutant{}, err
		}
	}
	if m.bug == "" || m.pkg == "" && m.load == "" {
		return mutant{}, errors.New("the header must name the bug, and tests or rules of the fault run")
	}
	for file := range strings.SplitSeq("\n"+diff, "\n--- ") {
		if err := m.addFile(strings.TrimPrefix(file, "\n")); err != nil {
			return mutant{}, err
		}
	}
	return m, nil
}

func (m *mutant) addHeader(line string) error {
	if bug, ok := strings.CutPrefix(line, "Bug: "); ok {
		m.bug = bug
	} else if tests, ok := strings.CutPrefix(line, "Caught by: test "); ok {
		m.pkg, tests, _ = strings.Cut(tests, " ")
		if m.tests = strings.Fields(tests); len(m.tests) == 0 {
			return fmt.Errorf("%q names no test", line)
		}
	} else if run, ok := strings.CutPrefix(line, "Caught by: fault run "); ok {
		load, rules, _ := strings.Cut(run, ": ")
		if m.load, m.rules = load, strings.Split(rules, ", "); stresses[load].stress == (stress{}) {
			return fmt.Errorf("%q names no stress of a fault run", line)
		}
	} else {
		return fmt.Errorf("cannot read the header line %q", line)
	}
	return nil
}

// addFile reads the diff of one file, without the "--- " that it begins with.
func (m *mutant) addFile(diff string) error {
	head, body, ok := strings.Cut(diff, "\n@@ ")
	_, path, named := strings.Cut(head, "+++ b/")
	if !ok || !named {
		return errors.New("the diff of a file must begin with ---, +++ and @@")
	}
	f := patchedFile{path: path}
	for text := range strings.SplitSeq(body, "\n@@ ") {
		var h hunk
		for _, line := range strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")[1:] {
			content := strings.TrimSuffix(line[1:], "\n") + "\n"
			switch line[0] {
			case ' ':
				h.before, h.after = h.before+content, h.after+content
			case '-':
				h.before += content
			case '+':
				h.after += content
			default:
				return fmt.Errorf("%s: cannot read %q", path, line)
			}
		}
		f.hunks = append(f.hunks, h)
	}
	m.files = append(m.files, f)
	return nil
}

// apply returns the file with the bug. Line numbers do not matter, but each hunk must fit
// exactly one place.
func (f patchedFile) apply(source string) (string, error) {
	source = "\n" + source
	for _, h := range f.hunks {
		before := "\n" + h.before
		at := strings.Index(source, before)
		if at < 0 || at != strings.LastIndex(source, before) {
			return "", fmt.Errorf("a hunk fits no place in %s, or several:\n%s", f.path, h.before)
		}
		source = source[:at] + "\n" + h.after + source[at+len(before):]
	}
	return source[1:], nil
}

// overlay writes the patched copies to dir and returns the file for the flag -overlay.
func (m *mutant) overlay(root, dir string) (string, error) {
	replace := make(map[string]string)
	for i, f := range m.files {
		original := filepath.Join(root, filepath.FromSlash(f.path))
		source, err := os.ReadFile(original)
		if err != nil {
			return "", err
		}
		patched, err := f.apply(string(source))
		if err != nil {
			return "", err
		}
		replace[original] = filepath.Join(dir, fmt.Sprintf("%s_%d.go", m.name, i))
		if err := os.WriteFile(replace[original], []byte(patched), 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, m.name+".json")
	return path, os.WriteFile(path, text, 0o600)
}

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
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"test", "-c", "-o", binary}, flags, []string{pkg})...)
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
	o.duration, o.keep, o.log = 12*time.Second, "", io.Discard
	for range mutantRounds {
		broken := []string{itself}
		result, unusable := run(ctx, o)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if unusable == nil {
			_, counts := result.found.all()
			broken = slices.Sorted(maps.Keys(counts))
		}
		for _, rule := range broken {
			if slices.Contains(m.rules, rule) {
				caught = append(caught, rule)
			}
		}
		if len(caught) > 0 {
			return caught, nil
		}
		fmt.Fprintf(r.options.log, "%s: seed %d broke %q\n", m.name, o.seed, broken)
		o.seed++
	}
	return nil, nil
}
