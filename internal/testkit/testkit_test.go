package testkit

import (
	"maps"
	"os"
	"slices"
	"testing"
)

// TestStatementsAreFound: constants are found with their values, whether or not they have a
// name; SQL that is put together is reported, unless the function may do so.
func TestStatementsAreFound(t *testing.T) {
	t.Chdir(t.TempDir())
	const source = "package p\n" + `
const columns, table = "id, name", "users"
const list = ` + "`\n\tSELECT `" + ` + columns + " FROM " + table
const prose = "SETTLED and DELETED are no statements"
func one(x string) string { return "DELETE FROM users WHERE id = " + x }
func two(x string) string { return "UPDATE users SET name = " + x }
func three() string { return "LOCK users" }
`
	Must(t, os.WriteFile("p.go", []byte(source), 0o600))
	Must(t, os.WriteFile("p_test.go", []byte("package p\nconst fixture = `SELECT 1`\n"), 0o600))
	statements, assembled := statementsOf(t, map[string]string{"two": "TestTwo"})
	got := slices.Sorted(maps.Values(statements))
	want := []string{"\n\tSELECT id, name FROM users", "LOCK users"}
	if !slices.Equal(got, want) {
		t.Errorf("statements are %q, want %q", got, want)
	}
	if !slices.Equal(assembled, []string{"p.go:7:36"}) {
		t.Errorf("SQL is put together at %q", assembled)
	}
}

// recorder is a test that records its failure and continues.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) Fatal(...any)          { r.failed = true }

func TestContains(t *testing.T) {
	for _, test := range []struct {
		words []string
		fails bool
	}{
		{[]string{"money", "moves"}, false},
		{[]string{"money", "stays"}, true},
		{nil, false},
	} {
		r := &recorder{TB: t}
		if Contains(r, "money moves", test.words...); r.failed != test.fails {
			t.Errorf("%q: failed = %v", test.words, r.failed)
		}
	}
}

func TestWaiting(t *testing.T) {
	looks := 0
	Eventually(t, "the third look", func() bool { looks++; return looks == 3 })
	values := make(chan int, 1)
	values <- 7
	if got := Receive(t, "a value", values); got != 7 {
		t.Errorf("received %d", got)
	}
	close(values)
	if got := Receive(t, "the end", values); got != 0 {
		t.Errorf("received %d after the end", got)
	}
}
