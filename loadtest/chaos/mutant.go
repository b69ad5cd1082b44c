package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	if tests, ok := strings.CutPrefix(line, "Caught by: test "); ok {
		fields := strings.Fields(tests)
		m.pkg, m.tests = fields[0], fields[1:]
		if len(m.tests) == 0 {
			return fmt.Errorf("%q names no test", line)
		}
		return nil
	}
	if run, ok := strings.CutPrefix(line, "Caught by: fault run "); ok {
		load, rules, _ := strings.Cut(run, ": ")
		m.load, m.rules = load, strings.Split(rules, ", ")
		if _, known := stresses[load]; !known {
			return fmt.Errorf("%q names no stress of a fault run", line)
		}
		return nil
	}
	bug, ok := strings.CutPrefix(line, "Bug: ")
	if !ok {
		return fmt.Errorf("cannot read the header line %q", line)
	}
	m.bug = bug
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
	for _, h := range f.hunks {
		at := places(source, h.before)
		if len(at) != 1 {
			return "", fmt.Errorf("a hunk fits %d places in %s:\n%s", len(at), f.path, h.before)
		}
		source = source[:at[0]] + h.after + source[at[0]+len(h.before):]
	}
	return source, nil
}

// places returns the positions in source at which the lines of text occur.
func places(source, text string) (at []int) {
	for from := 0; ; from++ {
		i := strings.Index(source[from:], text)
		if i < 0 {
			return at
		}
		if from += i; from == 0 || source[from-1] == '\n' {
			at = append(at, from)
		}
	}
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

// catches returns which of the broken rules the mutant's header names.
func (m *mutant) catches(broken []string) (caught []string) {
	for _, rule := range broken {
		if slices.Contains(m.rules, rule) {
			caught = append(caught, rule)
		}
	}
	return caught
}
