package main

import (
	"encoding/csv"
	"os"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// TestResultsAreReadAsTheyWereWritten, in both formats: kizo pay continues a run by them.
func TestResultsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	for _, format := range []resultsFormat{{csv: false}, {csv: true}} {
		for _, r := range []payResult{
			{Row: 2, ID: "1", State: rowPosted, To: "@bob", Amount: 1250, Currency: "USD", Key: "pay:r:1", TransferID: "t"},
			{Row: 3, ID: "=1+1", State: rowRefused, To: "+a@example.com", Amount: 5, Currency: "JPY", Memo: `'a "b", c`, Key: "pay:r:%3D1+1", Code: "limit_exceeded", Detail: "-1 is left"},
			{Row: 4, ID: "'", State: rowUnknown, To: "-x@example.com", Amount: 1, Currency: "KWD", Memo: "＝1", Key: "pay:r:'", Detail: "@x", Replayed: true},
			{Row: 5_000_001, ID: "a b", State: rowFailed, To: "@bob", Amount: 1_000_000_000_000_000, Currency: "USD", Memo: "@SUM(A1)", Key: "k"},
		} {
			line := format.encode(&r)
			if strings.Count(string(line), "\n") != 1 {
				t.Errorf("%q is not one line", line)
			}
			got, err := format.decode(line)
			testkit.Must(t, err)
			testkit.Equal(t, string(line), got, r)
		}
	}
	for _, line := range []string{"", "a,b\n", strings.Repeat(",", 11) + "\n", "x,1,posted,@bob,1.00,USD,,k,t,false,,\n", "2,1,posted,@bob,1e3,USD,,k,t,false,,\n", "2,\"1,posted\n"} {
		if r, err := (resultsFormat{csv: true}).decode([]byte(line)); err == nil {
			t.Errorf("%q is %+v", line, r)
		}
	}
}

// TestResultsInCSV: a spreadsheet takes no cell for a formula, and a run is continued from the
// file, also after a crash that has cut a line off.
func TestResultsInCSV(t *testing.T) {
	s := newPayoutServer(t)
	s.refuse = func(to string) client.ProblemCode {
		if to == "@p3" {
			return client.InsufficientFunds
		}
		return ""
	}
	w := newWorld(t, s.Server)
	file := w.write("payouts.csv", payHeader+"@p2,1,USD,-1+cmd,+1\n@p3,2.50,USD,\"a, b\",2\n@p4,3,USD,,3\n")
	w.expect(exitRefused, "pay", "--file", file, "--run", "r", "--results", "csv", "--json=posted,refused")
	testkit.Contains(t, w.out.String(), `{"posted":2,"refused":1}`)
	results := file + ".r.results.csv"
	read := func() [][]string {
		t.Helper()
		text, err := os.ReadFile(results)
		testkit.Must(t, err)
		lines, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
		testkit.Must(t, err)
		return lines
	}
	lines := read()
	testkit.Equal(t, "header", strings.Join(lines[0], " "), strings.Join(resultColumns, " "))
	testkit.Equal(t, "first row", strings.Join(lines[1][:8], "|"), "2|'+1|posted|@p2|1.00|USD|'-1+cmd|pay:r:+1")
	testkit.Equal(t, "second row", strings.Join(lines[2][:7], "|"), "3|2|refused|@p3|2.50|USD|a, b")

	text, err := os.ReadFile(results)
	testkit.Must(t, err)
	for _, left := range []int{len(text) - 7, len("row,id"), 0} { // half a row, half a header, nothing
		testkit.Must(t, os.WriteFile(results, text[:left], 0o600))
		w.expect(exitRefused, "pay", "--file", file, "--run", "r", "--results", "csv", "--json=posted,refused")
		testkit.Contains(t, w.out.String(), `{"posted":2,"refused":1}`)
		testkit.Equal(t, "lines", len(read()), 4)
	}
	w.expect(exitDone, "pay", "refused", "r")
	testkit.Contains(t, w.out.String(), "3\t2\trefused\t@p3\t2.50 USD")

	w.expect(exitDone, "pay", "--file", w.write("other.csv", payHeader+"@p2,1,USD,,1\n"), "--results", "mine.CSV")
	mine, err := os.ReadFile("mine.CSV")
	testkit.Must(t, err)
	testkit.Contains(t, string(mine), "row,id,state,", "2,1,posted,@p2,1.00,USD,")
	w.expect(exitUsage, "pay", "--file", w.write("bad.csv", payHeader+"@p2,1,USD,,\"a\x1bb\"\n"), "--results", "csv")
	testkit.Contains(t, w.err.String(), `row 2: the id "a\x1bb" has a character that results in CSV cannot have`)
}
