package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

func TestTableCutsOnlyColumnsThatMayBeCut(t *testing.T) {
	columns := []column{{title: "ID"}, {title: "AMOUNT", right: true}, {title: "MEMO", cut: true}}
	rows := [][]string{{"0197a7c2", "12.50 USD", "a long memo about lunch"}, {"0197a7c3", "1.00 USD", "山田\n太郎"}}
	for width, want := range map[int]string{
		0: "ID           AMOUNT  MEMO\n0197a7c2  12.50 USD  a long memo about lunch\n0197a7c3   1.00 USD  山田\\u{a}太郎\n",
		// Ids and amounts are never cut, however narrow the terminal is.
		28: "ID           AMOUNT  MEMO\n0197a7c2  12.50 USD  a long…\n0197a7c3   1.00 USD  山田\\u…\n",
		10: "ID           AMOUNT  MEMO\n0197a7c2  12.50 USD  a l…\n0197a7c3   1.00 USD  山…\n",
	} {
		if got := table(columns, rows, tableStyle{width: width, header: true}); got != want {
			t.Errorf("%d columns:\n%s\nwant\n%s", width, got, want)
		}
	}
}

func TestANarrowTerminalDropsColumns(t *testing.T) {
	columns := []column{{title: "ID"}, {title: "WHEN", drop: 1}, {title: "KIND", drop: 2}, {title: "MEMO", cut: true}}
	rows := [][]string{{"0197a7c2", "3m ago", "transfer", "lunch"}}
	for width, want := range map[int]string{
		80: "ID        WHEN    KIND      MEMO\n0197a7c2  3m ago  transfer  lunch\n",
		32: "ID        WHEN    KIND      MEMO\n0197a7c2  3m ago  transfer  lun…\n",
		31: "ID        WHEN    MEMO\n0197a7c2  3m ago  lunch\n",
		20: "ID        MEMO\n0197a7c2  lunch\n",
		1:  "ID        MEMO\n0197a7c2  lun…\n",
	} {
		if got := table(columns, rows, tableStyle{width: width, header: true}); got != want {
			t.Errorf("%d columns:\n%s\nwant\n%s", width, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"2026-01-02T03:04:05Z":      "2026-01-02T03:04:05Z",
		"2026-01-02T03:04:05+01:00": "2026-01-02T02:04:05Z",
		"2026-01-02":                "2026-01-01T23:00:00Z",
		"1h":                        "2026-03-01T10:00:00Z",
		"-1h":                       "2026-03-01T10:00:00Z",
		"90m ago":                   "2026-03-01T09:30:00Z",
		"2d":                        "2026-02-27T11:00:00Z",
		"1w":                        "2026-02-22T11:00:00Z",
		"":                          "",
		"soon":                      "",
		"2026-02-30":                "",
		"--1h":                      "",
	} {
		got, err := parseTime(text, now)
		if (err == nil) != (want != "") || (err == nil && got.UTC().Format(time.RFC3339) != want) {
			t.Errorf("%q: %v, %v; want %s", text, got, err, want)
		}
	}
}

func TestParseExpiry(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"48h":                  "2026-03-03T12:00:00Z",
		"+7d":                  "2026-03-08T12:00:00Z",
		"2026-03-04":           "2026-03-04T00:00:00Z",
		"2026-03-04T05:06:07Z": "2026-03-04T05:06:07Z",
		"-1h":                  "",
		"1h ago":               "",
		"later":                "",
	} {
		got, err := parseExpiry(text, now)
		if (err == nil) != (want != "") || (err == nil && got.Format(time.RFC3339) != want) {
			t.Errorf("%q: %v, %v; want %s", text, got, err, want)
		}
	}
}

func TestRelative(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var got []string
	for _, ago := range []time.Duration{0, 30 * time.Second, 5 * time.Minute, 3 * time.Hour, 49 * time.Hour, 60 * 24 * time.Hour, -2 * time.Hour} {
		got = append(got, relative(now.Add(-ago), now))
	}
	if want := "now, 30s ago, 5m ago, 3h ago, 2d ago, 2025-12-31, in 2h"; strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
}

// TestForeignTextsAreNoFormulas prints transfers whose memo and name a spreadsheet would evaluate.
func TestForeignTextsAreNoFormulas(t *testing.T) {
	for _, evil := range []string{"=HYPERLINK(\"http://x\")", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "＝1", "|calc", "'=1"} {
		handle := "hyperlink"
		transfer := client.Transfer{
			Id: uuid.New(), Kind: client.TransferKindAuthorization, State: client.Posted, Direction: client.Out, Amount: 1250, Currency: "USD",
			To: client.Party{Handle: &handle, Name: &evil}, Memo: &evil, Reason: &evil,
		}
		w := newWorld(t, nil)
		a := w.app()
		testkit.Must(t, a.printList(outputFlags{app: a}, nil, transferColumns, [][]string{a.transferRow(transfer)}))
		if err := a.printTransfer(outputFlags{app: a}, transfer); err != nil {
			t.Fatal(err)
		}
		for cell := range strings.FieldsFuncSeq(w.out.String(), func(r rune) bool { return r == '\t' || r == '\n' }) {
			if strings.ContainsAny(cell[:1], "=+-|%\r") || strings.HasPrefix(cell, "＝") || strings.HasPrefix(cell, "@") && cell != "@"+handle {
				t.Errorf("%q: the cell %q is a formula", evil, cell)
			}
		}
		testkit.Contains(t, w.out.String(), "\t12.50 USD\t@hyperlink\t")
	}
	// A number with a minus sign stays a number.
	if got := cells([]column{{title: "AMOUNT", right: true}}, [][]string{{"-12.50 USD"}}, false); got[0][0] != "-12.50 USD" {
		t.Errorf("%q", got)
	}
}

// TestColumnsOfTextAreMarked: a new column of untrusted text must be marked as free, so that it
// cannot be a formula. The titles listed here are those of ids, times, amounts and Kizo's own
// words.
func TestColumnsOfTextAreMarked(t *testing.T) {
	own := []string{"ID", "WHEN", "KIND", "STATE", "DIRECTION", "AMOUNT", "WITH", "AUTHORIZED", "RESOLVED", "EXPIRES", "REVERSED", "REVERSES",
		"TRANSFER", "REFERENCE", "ATTEMPTS", "NEXT", "LEASE UNTIL", "FENCE", "TRACE"}
	for _, c := range slices.Concat(transferDetails, paymentDetails) {
		if c.free == slices.Contains(own, c.title) {
			t.Errorf("%s, free: %v", c.title, c.free)
		}
	}
}
