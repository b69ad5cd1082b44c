package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// moduleRoot is where the paths in patches begin.
const moduleRoot = "../.."

// TestMutantsApply: each patch fits the source as it is, the result compiles, and the tests
// that its header names exist.
func TestMutantsApply(t *testing.T) {
	t.Parallel()
	mutants, err := readMutants()
	if err != nil {
		t.Fatal(err)
	}
	if len(mutants) < 30 {
		t.Errorf("there are only %d mutants", len(mutants))
	}
	var patterns []string
	for _, m := range mutants {
		for _, f := range m.files {
			patterns = append(patterns, "./"+filepath.Dir(f.path))
		}
	}
	packages := listPackages(t, patterns)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for dir, patched := range patch(t, m) {
				if err := packages.check(dir, patched); err != nil {
					t.Errorf("with the bug, %s does not compile: %v", dir, err)
				}
			}
			for _, name := range m.tests {
				if !hasTest(t, m.pkg, name) {
					t.Errorf("%s has no %s", m.pkg, name)
				}
			}
		})
	}
}

// TestMutantsNameRules: each rule of the fault run that a header names exists.
func TestMutantsNameRules(t *testing.T) {
	t.Parallel()
	mutants, err := readMutants()
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	files, err := filepath.Glob("*.go")
	testkit.Must(t, err)
	for _, name := range files {
		if !strings.HasSuffix(name, "_test.go") {
			text, err := os.ReadFile(name)
			testkit.Must(t, err)
			source.Write(text)
		}
	}
	audit, err := os.ReadFile(filepath.Join(moduleRoot, "server/ledger/audit_rules.go"))
	testkit.Must(t, err)
	named := 0
	for _, m := range mutants {
		for _, rule := range m.rules {
			named++
			literal, in := `"`+rule+`"`, source.String()
			if check, ok := strings.CutPrefix(rule, "audit: "); ok {
				literal, in = `name: "`+check+`"`, string(audit)
			}
			if rule != "the run itself" && !strings.Contains(in, literal) {
				t.Errorf("%s names the rule %q, which does not exist", m.name, rule)
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d rules are named: the headers are not read", named)
	}
}

// patch returns the patched files of m: by directory, then by name.
func patch(t *testing.T, m mutant) map[string]map[string]string {
	t.Helper()
	patched := make(map[string]map[string]string)
	for _, f := range m.files {
		source, err := os.ReadFile(filepath.Join(moduleRoot, f.path))
		if err != nil {
			t.Fatal(err)
		}
		text, err := f.apply(string(source))
		if err != nil {
			t.Fatal(err)
		}
		dir, name := filepath.Split(f.path)
		if patched[dir] == nil {
			patched[dir] = make(map[string]string)
		}
		patched[dir][name] = text
	}
	return patched
}

// listedPackages are the packages that patches change, and the export data of their imports.
type listedPackages struct {
	files   map[string][]string // names of the Go files, by directory from the root
	exports map[string]string   // file of the export data, by import path
}

func listPackages(t *testing.T, patterns []string) listedPackages {
	t.Helper()
	args := append([]string{"list", "-export", "-deps", "-json=Dir,ImportPath,Export,GoFiles,Module"}, patterns...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = moduleRoot
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	root, err := filepath.Abs(moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	listed := listedPackages{files: make(map[string][]string), exports: make(map[string]string)}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Dir, ImportPath, Export string
			GoFiles                 []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return listed
		} else if err != nil {
			t.Fatal(err)
		}
		listed.exports[p.ImportPath] = p.Export
		if dir, err := filepath.Rel(root, p.Dir); err == nil {
			listed.files[dir+"/"] = p.GoFiles
		}
	}
}

// check type-checks the package in dir with the patched files in place of its own.
func (p listedPackages) check(dir string, patched map[string]string) error {
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.files[dir] {
		var source any
		if text, ok := patched[name]; ok {
			source = text
		}
		file, err := parser.ParseFile(fset, filepath.Join(moduleRoot, dir, name), source, 0)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(p.exports[path])
	})}
	_, err := config.Check(dir, fset, files, nil)
	return err
}

// hasTest reports whether a test file of the package declares the test.
func hasTest(t *testing.T, pkg, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(moduleRoot, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}

// TestHunkFitsOnePlace: a patch that fits no place, or several, does not apply.
func TestHunkFitsOnePlace(t *testing.T) {
	t.Parallel()
	m, err := parseMutant("m", `Caught by: test ./server TestX
Bug: b is lost
--- a/server/x.go
+++ b/server/x.go
@@ -2,2 +2,1 @@ func x() {
 a
-b
`)
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		"a\nb\nc\n":    "a\nc\n",
		"0\n1\na\nb\n": "0\n1\na\n",
		"a\nb\na\nb\n": "",
		"a\nc\n":       "",
		"aa\nb\n":      "",
	} {
		got, err := m.files[0].apply(source)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q becomes %q, %v; want %q", source, got, err, want)
		}
	}
}

// TestMutantHeaders: a patch must say what has to notice the bug.
func TestMutantHeaders(t *testing.T) {
	t.Parallel()
	const diff = "--- a/x.go\n+++ b/x.go\n@@ -1,1 +1,1 @@\n-a\n+b\n"
	for header, want := range map[string]bool{
		"Caught by: test ./server TestA TestB\nBug: a bug\n":                            true,
		"Caught by: fault run bank: balances, history: lost\nBug: bug\n":                true,
		"Caught by: test ./server TestA\nCaught by: fault run kills: stuck\nBug: bug\n": true,
		"Caught by: test ./server\nBug: a bug\n":                                        false,
		"Caught by: fault run storm: balances\nBug: a bug\n":                            false,
		"Caught by: test ./server TestA\n":                                              false,
		"Bug: a bug\n":                                                                  false,
		"":                                                                              false,
	} {
		if _, err := parseMutant("m", header+diff); (err == nil) != want {
			t.Errorf("%q: %v", header, err)
		}
	}
}
