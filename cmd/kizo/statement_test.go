package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// TestStatementsAreThePostings: the statements of a wallet chain from zero to its balance, and
// their lines are the entries of the export that change the balance, in currencies with 0, 2, 3 and
// 4 decimals. Every output has the same lines.
func TestStatementsAreThePostings(t *testing.T) {
	h := historyOf(t)
	w := h.world(t)
	now := h.balancesNow(t)
	for _, currency := range historyCurrencies {
		var closing int64
		var lines []string
		last := h.times[len(h.times)-1].UTC()
		for month := h.times[0].UTC(); !month.After(last); month = time.Date(month.Year(), month.Month()+1, 1, 0, 0, 0, 0, time.UTC) {
			s := w.statement(month.Format("2006-01"), currency)
			if s.Opening != closing {
				t.Errorf("%s %s: opens with %d after %d", currency, s.Month, s.Opening, closing)
			}
			closing = s.Closing
			for _, line := range s.Items {
				lines = append(lines, fmt.Sprint(line.TransferId.String(), line.Change, line.Balance, text(line.Memo)))
			}
			if got, want := shownTotals(s), addedTotals(s); got != want {
				t.Errorf("%s %s: totals\n%swant\n%s", currency, s.Month, got, want)
			}
			w.sameLines(s)
		}
		if closing != now[currency] {
			t.Errorf("%s: closes with %d, the wallet has %d", currency, closing, now[currency])
		}
		exported := w.exported(currency)
		if len(exported) != len(lines) || len(lines) < historyTransfers()/10 {
			t.Fatalf("%s: %d lines in the statements, %d entries in the export", currency, len(lines), len(exported))
		}
		for i, line := range lines {
			if line != exported[i] {
				t.Fatalf("%s: line %d is %q, the export has %q", currency, i, line, exported[i])
			}
		}
	}
}

// shownTotals are the totals of the server, one in each line.
func shownTotals(s client.Statement) (lines string) {
	for _, total := range *s.Totals {
		lines += fmt.Sprintln(partyHandle(*total.With), total.Parties, total.Count, *total.In, *total.Out)
	}
	return lines
}

// addedTotals adds up the lines of the statement in the same form.
func addedTotals(s client.Statement) (lines string) {
	type sum struct{ count, in, out int64 }
	sums := map[string]sum{}
	for _, line := range s.Items {
		total := sums[partyHandle(line.With)]
		total.count, total.in, total.out = total.count+1, total.in+max(line.Change, 0), total.out+max(-line.Change, 0)
		sums[partyHandle(line.With)] = total
	}
	parties := slices.SortedFunc(maps.Keys(sums), func(a, b string) int {
		return cmp.Compare(sums[b].in+sums[b].out, sums[a].in+sums[a].out)
	})
	for _, with := range parties {
		lines += fmt.Sprintln(with, 1, sums[with].count, sums[with].in, sums[with].out)
	}
	return lines
}

func (w *world) statement(month, currency string) client.Statement {
	w.t.Helper()
	w.expect(exitDone, "statement", month, "--wallet", currency, "--json")
	var s client.Statement
	testkit.Must(w.t, json.Unmarshal(w.out.Bytes(), &s))
	return s
}

// exported returns the entries of the export that change a balance.
func (w *world) exported(currency string) (lines []string) {
	w.t.Helper()
	w.expect(exitDone, "export", "--format", "jsonl", "--wallet", currency)
	for line := range strings.Lines(w.out.String()) {
		var e struct {
			Transfer, Memo  string
			Amount, Balance int64
		}
		testkit.Must(w.t, json.Unmarshal([]byte(line), &e))
		if e.Amount != 0 {
			lines = append(lines, fmt.Sprint(e.Transfer, e.Amount, e.Balance, e.Memo))
		}
	}
	return lines
}

// sameLines compares csv, tsv, id and table with a statement.
func (w *world) sameLines(s client.Statement) {
	w.t.Helper()
	args := []string{"statement", s.Month, "--wallet", s.Currency, "-o"}
	w.expect(exitDone, append(args, "csv")...)
	rows, err := csv.NewReader(strings.NewReader(w.out.String())).ReadAll()
	testkit.Must(w.t, err)
	if len(rows) != len(s.Items)+3 {
		w.t.Fatalf("%d rows of csv for %d lines", len(rows), len(s.Items))
	}
	want := strings.Join(columnNames(statementColumns), " ")
	if got := strings.Join(rows[0], " "); got != want {
		w.t.Errorf("header %q", got)
	}
	for i, line := range s.Items {
		row := rows[i+2]
		if row[2] != amountOf(line.Change, s.Currency) || row[3] != amountOf(line.Balance, s.Currency) || row[7] != line.TransferId.String() {
			w.t.Fatalf("row %d is %q for %+v", i, row, line)
		}
	}
	if opening, closing := rows[1], rows[len(rows)-1]; opening[1] != "opening" || closing[1] != "closing" ||
		opening[3] != amountOf(s.Opening, s.Currency) || closing[3] != amountOf(s.Closing, s.Currency) {
		w.t.Errorf("%q … %q", opening, closing)
	}
	for format, count := range map[string]int{"tsv": len(s.Items) + 2, "id": len(s.Items), "jsonl": 1} {
		w.expect(exitDone, append(args, format)...)
		if got := strings.Count(w.out.String(), "\n"); got != count {
			w.t.Errorf("%s has %d lines, want %d", format, got, count)
		}
	}
	w.expect(exitDone, append(args, "table")...)
	testkit.Contains(w.t, w.out.String(), amountOf(s.Opening, s.Currency), amountOf(s.Closing, s.Currency), "so far: up to", "\nWITH ")
}

// TestStatementOfAnUntrustedServer: no mode prints control characters, and a statement that does
// not add up is an error.
func TestStatementOfAnUntrustedServer(t *testing.T) {
	balance := 100
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/v1/wallets" {
			fmt.Fprint(w, `{"items":[{"id":"0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d","currency":"USD","balance":1,"held":0,"available":1,"status":"active"}]}`)
			return
		}
		fmt.Fprintf(w, `{"wallet_id":"0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d","currency":"USD","month":"2026-02","since":"2026-02-01T00:00:00Z",
			"until":"2026-03-01T00:00:00Z","as_of":"2026-02-28T23:59:59.999999Z","complete":true,"opening":50,"closing":%d,"count":1,"items":[
			{"seq":7,"at":"2026-02-03T04:05:06Z","change":50,"balance":%d,"transfer_id":"0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d","kind":"transfer",
			"with":{"handle":"bob","name":"\u001b]52;c;eA==\u0007Bob\u202e"},"memo":"=1+1\u001b[2J\n\u0000x"}]}`, balance, balance)
	}))
	t.Cleanup(s.Close)
	w := newWorld(t, s)
	for _, format := range append(formats, "") {
		for _, terminal := range []bool{false, true} {
			w.terminal = terminal
			args := []string{"statement", "2026-02"}
			if format != "" {
				args = append(args, "-o", format)
			}
			w.expect(exitDone, args...)
			if out := w.out.String(); strings.ContainsAny(out, "\x1b\x07\x00\u202e") || out == "" {
				t.Errorf("%s, terminal %v: %q", format, terminal, out)
			}
		}
	}
	w.terminal = false
	w.expect(exitDone, "statement", "2026-02", "-o", "csv")
	testkit.Contains(t, w.out.String(), "2026-02-03T04:05:06Z,transfer,0.50 USD,1.00 USD,@bob,", "'=1+1", "closing,,1.00 USD")
	w.expect(exitDone, "statement", "2026-02", "-o", "table")
	testkit.Contains(t, w.out.String(), "USD wallet, February 2026 (UTC)\n", "opening", "@bob")
	w.expect(exitUsage, "statement", "2026-2")
	w.expect(exitUsage, "statement", "next")
	balance = 99
	for _, format := range formats {
		w.expect(exitFailure, "statement", "2026-02", "-o", format)
		testkit.Contains(t, w.err.String(), "does not add up")
	}
}
