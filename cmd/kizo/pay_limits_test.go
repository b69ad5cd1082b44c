package main

import (
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// payoutLimits are a user who may spend 0.50 USD in a transfer, and 1.00 USD a day of which 0.40 is
// left, and a key that may spend 0.30 USD in a transfer and pays two users only.
const payoutLimits = `{"items":[{"currency":"USD","max_per_transfer":50,"max_per_day":100,"spent_today":60}],"renews_at":"2026-11-29T00:00:00Z",
	"key":{"id":"0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4e","name":"payroll","state":"active","scopes":["read"],"networks":[],
		"created_at":"2026-11-28T00:00:00Z","expires_at":"2027-11-28T00:00:00Z","payees":["@p2","@p3"],
		"limits":[{"currency":"USD","max_per_transfer":30,"max_per_day":900,"spent_today":0}]}}`

// TestPayoutIsCheckedAgainstTheLimits: each row, its payee, and the totals.
func TestPayoutIsCheckedAgainstTheLimits(t *testing.T) {
	for name, c := range map[string]struct {
		rows string
		code int
		says []string
	}{
		"allowed": {"@p2,0.30,USD,,1\n@p3,0.10,USD,,2\n", exitDone, []string{`"to_pay":40`, `"limit_left":40`}},
		"two rows beyond the limit of one transfer": {"@p2,0.31,USD,,1\n@p3,0.01,USD,,2\n@p3,0.40,USD,,3\n", exitRefused, []string{
			"row 2: 0.31 USD is too much: the limit of the API key payroll allows at most 0.30 USD for one transfer", "row 4: 0.40 USD is too much", "2 rows are wrong, and nothing was paid"}},
		"a day": {"@p2,0.30,USD,,1\n@p3,0.11,USD,,2\n", exitRefused, []string{
			"nothing was paid: the rows need 0.41 USD, and your own limit leaves 0.40 USD until 2026-11-29T00:00:00Z", "kizo limits show", `"code":"limit_exceeded"`}},
		"a payee": {"@p2,0.30,USD,,1\n@p4,0.01,USD,,2\n", exitRefused, []string{
			"nothing was paid: row 3: @p4: the limits of the API key payroll do not allow this payee"}},
	} {
		s := newPayoutServer(t)
		s.limits = payoutLimits
		w := newWorld(t, s.Server)
		w.expect(c.code, "pay", "--file", w.write("payouts.csv", payHeader+c.rows), "--dry-run", "--json=totals")
		printed := w.out.String() + w.err.String()
		w.expect(c.code, "pay", "--file", w.write("payouts.csv", payHeader+c.rows))
		testkit.Contains(t, printed+w.err.String(), c.says...)
		if paid := s.batches > 0; paid != (c.code == exitDone) {
			t.Errorf("%s: %d batches were sent", name, s.batches)
		}
	}
	s := newPayoutServer(t)
	s.limits = strings.Replace(payoutLimits, `"limits":[{"currency":"USD"`, `"limits":[{"currency":"EUR"`, 1)
	w := newWorld(t, s.Server)
	w.expect(exitRefused, "pay", "--file", w.write("payouts.csv", payHeader+"@p2,0.01,USD,,1\n"))
	testkit.Contains(t, w.err.String(), "kizo: nothing was paid: the limits of the API key payroll allow no USD")
	testkit.Equal(t, "batches", s.batches, 0)
}

// TestBadPayoutFilesPayNothing: one clear line with the number of the row, and no payment.
func TestBadPayoutFilesPayNothing(t *testing.T) {
	good := "@p2,1,USD,,1\n"
	for name, c := range map[string]struct {
		file string
		code int
		says string
	}{
		"a formula":         {payHeader + good + "@p3,=A1*2,USD,,2\n", exitUsage, "row 3: the amount begins like a formula"},
		"a formula as memo": {payHeader + good + "@p3,1,USD,\"=HYPERLINK(\"\"http://x\"\")\",2\n", exitUsage, "row 3: the memo begins like a formula"},
		"a missing column":  {"to,amount,currency,memo\n@p2,1,USD,\n", exitUsage, "row 1: the column id is missing"},
		"a missing field":   {payHeader + good + "@p3,1,USD,2\n", exitUsage, "row 3: 4 columns, and the header has 5"},
		"10^7 columns":      {strings.Repeat("to,", 10_000_000) + "\n" + good, exitUsage, "row 1: a row has at most 65536 bytes"},
		"10^7 fields":       {payHeader + good + strings.Repeat("1,", 10_000_000) + "\n", exitUsage, "row 3: a row has at most 65536 bytes"},
		"NUL":               {payHeader + good + "@p3,1,USD,a\x00,2\n", exitUsage, "row 3: the row contains a NUL byte"},
		"Latin-1":           {payHeader + good + "@p3,1,USD,caf\xe9,2\n", exitUsage, "row 3: the row is not UTF-8"},
		"UTF-16":            {"\xff\xfet\x00o\x00,\x00", exitUsage, "row 1: the file is UTF-16"},
		"the same id twice": {payHeader + good + "@p3,2,USD,,1\n", exitUsage, "row 3: the id \"1\" is also that of row 2"},
		"an exponent":       {payHeader + good + "@p3,1e3,USD,,2\n", exitUsage, `row 3: "1e3" is not an amount`},
		"an exponent, JSON": {`{"to":"@p2","amount":"1e3","currency":"USD","id":"1"}` + "\n", exitUsage, `row 1: "1e3" is not an amount`},
		"a number, JSON":    {`{"to":"@p2","amount":1e3,"currency":"USD","id":"1"}` + "\n", exitUsage, "row 1: the amount must be a string"},
		"an unknown payee":  {payHeader + good + "@unknown,1,USD,,2\n", exitRefused, "row 3: @unknown: no user has this handle"},
	} {
		s := newPayoutServer(t)
		s.unknown = "@unknown"
		w := newWorld(t, s.Server)
		for _, more := range [][]string{{"--dry-run"}, nil} {
			w.expect(c.code, append([]string{"pay", "--file", w.write("payouts.csv", c.file)}, more...)...)
			if line, rest, _ := strings.Cut(w.err.String(), "\n"); !strings.HasPrefix(line, "kizo: nothing was paid: "+c.says) || rest != "" || len(line) > 300 {
				t.Errorf("%s: %.500s", name, &w.err)
			}
		}
		testkit.Equal(t, name+": batches", s.batches, 0)
	}
}
