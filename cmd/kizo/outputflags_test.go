package main

import (
	"encoding/csv"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// twoTransfers are what the command of printedBy prints. The first has a memo that must not reach a
// terminal, nor a spreadsheet, as it is, and an amount that a float64 does not have.
func twoTransfers() []client.Transfer {
	handle, name, memo := "bob", "Bob, \"B\"", "=1+1 \x1b[2J, a"
	transfer := client.Transfer{
		Id: uuid.MustParse("01920000-0000-7000-8000-000000000001"), Kind: "transfer", State: client.Posted, Direction: client.Out,
		Amount: 9007199254740993, Currency: "USD", To: client.Party{Handle: &handle, Name: &name}, Memo: &memo,
		CreatedAt: time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC),
	}
	second := transfer
	second.Id, second.Memo, second.Amount = uuid.MustParse("01920000-0000-7000-8000-000000000002"), nil, 5
	return []client.Transfer{transfer, second}
}

// printedBy runs a command that lists two transfers.
func printedBy(t *testing.T, terminal bool, args ...string) (out string, err error) {
	t.Helper()
	w := newWorld(t, nil)
	w.terminal = terminal
	a := w.app(args...)
	var output outputFlags
	cmd := &cobra.Command{Use: "list", Args: takes(""), SilenceUsage: true, SilenceErrors: true, RunE: func(*cobra.Command, []string) error {
		var rows [][]string
		for _, t := range twoTransfers() {
			rows = append(rows, a.transferRow(t))
		}
		return a.printList(output, twoTransfers(), transferColumns, rows)
	}}
	output.addTo(cmd, a, client.Transfer{}, transferColumns...)
	cmd.SetArgs(append([]string{}, args...))
	err = cmd.ExecuteContext(t.Context())
	return w.out.String(), err
}

func TestOutputFormats(t *testing.T) {
	const (
		one, two = "01920000-0000-7000-8000-000000000001", "01920000-0000-7000-8000-000000000002"
		header   = "id,when,kind,state,direction,amount,with,memo,authorized,name\n"
		rowOne   = one + `,2026-03-01T11:59:00Z,transfer,posted,out,90071992547409.93 USD,@bob,"'=1+1 \u{1b}[2J, a",,"Bob, ""B"""` + "\n"
		rowTwo   = two + `,2026-03-01T11:59:00Z,transfer,posted,out,0.05 USD,@bob,,,"Bob, ""B"""` + "\n"
	)
	tabs := func(csvText string) string {
		lines, err := csv.NewReader(strings.NewReader(csvText)).ReadAll()
		testkit.Must(t, err)
		var out strings.Builder
		for _, line := range lines {
			out.WriteString(strings.Join(line, "\t") + "\n")
		}
		return out.String()
	}
	for _, test := range []struct {
		args string
		want string
	}{
		{"", tabs(rowOne + rowTwo)},
		{"-o tsv", tabs(rowOne + rowTwo)},
		{"-o tsv --header", tabs(header + rowOne + rowTwo)},
		{"-o csv", header + rowOne + rowTwo},
		{"-o csv --no-header", rowOne + rowTwo},
		{"--output=id", one + "\n" + two + "\n"},
		{"-o jsonl --json=id,amount", `{"id":"` + one + `","amount":9007199254740993}` + "\n" + `{"id":"` + two + `","amount":5}` + "\n"},
		{"-o json --json=amount", `[{"amount":9007199254740993},{"amount":5}]` + "\n"},
		{"--json=memo", `[{"memo":"=1+1 \u001b[2J, a"},{"memo":null}]` + "\n"},
		{"--jq map(.amount)|add", "9007199254740998\n"},
		{"--jq .[].memo", "=1+1 \\u{1b}[2J, a\nnull\n"},
		{"--jq .[0]|[.id,.amount]|@tsv", one + "\t9007199254740993\n"},
		{"-o jsonl --jq .amount", "9007199254740993\n5\n"},
		{"--jq empty", ""},
		{"--jq halt", ""},
		{`--template {{range .}}{{money .amount .currency}}|{{.memo}}{{"\n"}}{{end}}`, "90071992547409.93 USD|=1+1 \\u{1b}[2J, a\n0.05 USD|\n"},
		{"--json=help", strings.Join(fieldsOf(reflect.TypeFor[client.Transfer]()), "\n") + "\n"},
	} {
		t.Run(test.args, func(t *testing.T) {
			var args []string
			if name, text, found := strings.Cut(test.args, " "); found && name == "--template" {
				args = []string{name, text}
			} else {
				args = strings.Fields(test.args)
			}
			for _, terminal := range []bool{false, true} {
				if terminal && (test.args == "" || strings.Contains(test.args, "json")) { // a table, and JSON with indents
					continue
				}
				if got, err := printedBy(t, terminal, args...); err != nil || got != test.want {
					t.Errorf("terminal %t: %v\n%s\nwant\n%s", terminal, err, got, test.want)
				}
			}
		})
	}
	table, _ := printedBy(t, true)
	for _, args := range [][]string{{"-o", "table"}, {"-o", "wide"}} {
		got, err := printedBy(t, false, args...)
		testkit.Must(t, err)
		if args[1] == "table" && got != table {
			t.Errorf("%q:\n%s\nwant\n%s", args, got, table)
		}
		testkit.Contains(t, got, "1m ago")
		testkit.Contains(t, got, "ID   ")
	}
	if got, _ := printedBy(t, true, "--no-header"); strings.Contains(got, "AMOUNT") || !strings.Contains(got, "0.05 USD") {
		t.Errorf("--no-header:\n%s", got)
	}
}

func TestOutputFlagsThatExcludeEachOther(t *testing.T) {
	for _, args := range []string{
		"-o csv --json", "--json -o id", "-o tsv --jq .", "-o table --template x", "--jq . --template x",
		"-o xml", "--jq .[", "--jq nosuch", "--template {{", "--json=nosuch", "--header=maybe", "--jq env.HOME|error",
	} {
		if out, err := printedBy(t, false, strings.Fields(args)...); err == nil || out != "" {
			t.Errorf("%s: %v, %q", args, err, out)
		}
	}
	// A filter has no environment, so that one that was copied cannot read a token.
	if out, err := printedBy(t, false, "--jq", "env"); err != nil || out != "{}\n" {
		t.Errorf("env: %v, %q", err, out)
	}
}

func TestAsksForJSON(t *testing.T) {
	for line, want := range map[string]bool{
		"balance --json": true, "balance --json=id": true, "balance -o json": true, "balance -ojsonl": true, "balance --output=json": true,
		"balance --output jsonl": true, "balance --jq .": true, "balance -o csv": false, "balance": false, "transfer -- --json": false, "balance -o": false,
	} {
		if got := asksForJSON(strings.Fields(line)); got != want {
			t.Errorf("%s: %t", line, got)
		}
	}
}

var update = flag.Bool("update", false, "write testdata/columns.golden")

// TestColumnsAreStable: scripts find fields by their place and by their name. Columns may be added
// at the end, JSON fields anywhere, commands too; nothing is renamed, moved or removed.
func TestColumnsAreStable(t *testing.T) {
	golden, err := filepath.Abs("testdata/columns.golden") // newWorld changes the directory
	testkit.Must(t, err)
	a := newWorld(t, nil).app()
	newRootCommand(a)
	now := map[string][]string{}
	var lines []string
	for _, d := range a.outputs {
		for kind, names := range map[string][]string{"columns": columnNames(d.output.columns), "fields": d.output.known} {
			key := d.command.CommandPath() + " " + kind
			now[key] = names
			lines = append(lines, key+": "+strings.Join(names, " "))
		}
	}
	slices.Sort(lines)
	text := strings.Join(lines, "\n") + "\n"
	if *update {
		testkit.Must(t, os.WriteFile(golden, []byte(text), 0o644))
	}
	before, err := os.ReadFile(golden)
	testkit.Must(t, err)
	for line := range strings.Lines(string(before)) {
		key, names, _ := strings.Cut(strings.TrimSpace(line), ":")
		for i, name := range strings.Fields(names) {
			place := slices.Index(now[key], name)
			if place < 0 || strings.HasSuffix(key, "columns") && place != i {
				t.Errorf("%s: %s is not where it was: %v", key, name, now[key])
			}
		}
	}
	if string(before) != text && !t.Failed() {
		t.Errorf("something was added, which is fine: go test ./cmd/kizo -run %s -update", t.Name())
	}
	for _, d := range a.outputs {
		if ids := slices.IndexFunc(d.output.columns, func(c column) bool { return c.title == "ID" && !c.id }); ids >= 0 {
			t.Errorf("%s: the ids are not marked", d.command.CommandPath())
		}
		for i, c := range d.output.columns {
			if slices.Index(columnNames(d.output.columns), c.name()) != i {
				t.Errorf("%s: two columns %s", d.command.CommandPath(), c.name())
			}
		}
	}
}
