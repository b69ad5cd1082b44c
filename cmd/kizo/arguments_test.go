package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// typed is a command line, its exit code, and what stderr contains.
type typed struct {
	args string // separated by spaces; ~ stands for a space inside an argument
	exit int
	says string
}

func checkTyped(t *testing.T, w *world, tests []typed) {
	t.Helper()
	for _, test := range tests {
		var args []string
		for word := range strings.FieldsSeq(test.args) {
			args = append(args, strings.ReplaceAll(word, "~", " "))
		}
		if got := w.kizo(args...); got != test.exit || !strings.Contains(w.err.String(), test.says) {
			t.Errorf("kizo %s: exit code %d, want %d and %q\nstdout: %s\nstderr: %s", test.args, got, test.exit, test.says, &w.out, &w.err)
		}
	}
}

const someID = "0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d"

// TestAValueAfterASpace: --json id,state and --wait 30s are the flag with its value, as
// --json=id,state is.
func TestAValueAfterASpace(t *testing.T) {
	s := newFakeServer(t, answerTransfer(201, client.Posted, "lunch"))
	w := newWorld(t, s.Server)
	for args, want := range map[string]string{
		"wallet list --json currency,balance":                 `[{"currency":"USD","balance":100}]`,
		"wallet list --json currency":                         `[{"currency":"USD"}]`,
		"balance --json currency":                             `[{"currency":"USD"}]`,
		"balance --json balance USD":                          `{"balance":100}`,
		"balance USD --json balance,currency":                 `{"balance":100,"currency":"USD"}`,
		"transfers show " + someID + " --json state,amount":   `{"state":"pending","amount":1250}`,
		"transfers show --json state,amount " + someID:        `{"state":"pending","amount":1250}`,
		"deposit 12.50 --wait 30s --json amount":              `{"amount":1250}`,
		"deposit --wait 1m 12.50 --json amount":               `{"amount":1250}`,
		"deposit 12.50 --json --wait 30s --idempotency-key k": `"amount":1250`,
		"config list --json key":                              `[{"key":"server"}`,
	} {
		w.expect(exitDone, strings.Fields(args)...)
		testkit.Contains(t, w.out.String(), want)
	}

	// A word that can be an argument stays one, and a word after another flag is the value of that
	// flag.
	w.expect(exitDone, "deposit", "--wait", "30", "USD")
	testkit.Contains(t, seenLast(s).String(), `"amount":3000`)
	w.expect(exitDone, "transfer", "@bob", "1", "-m", "--json", "usd")
	testkit.Contains(t, seenLast(s).String(), `"memo":"--json"`)
	w.expect(exitDone, "transfer", "@bob", "1", "--json", "--", "USD")

	checkTyped(t, w, []typed{
		{"deposit 100 --wait 30", exitUsage, "try: kizo deposit 100 --wait=30"},
		{"deposit --wait 30 100 USD", exitUsage, "try: kizo deposit --wait=30 100 USD"},
		{"transfer @bob 5 --dry-run false", exitUsage, "try: kizo transfer @bob 5 --dry-run=false"},
		{"transfer @bob --authorize true 5", exitUsage, "try: kizo transfer @bob --authorize=true 5"},
		{"transfers list --all true", exitUsage, "try: kizo transfers list --all=true"},
		{"wallet list --json currncy", exitUsage, `"try":["kizo wallet list --json=currency"]`},
		{"wallet list --json currency,balnce", exitUsage, `"try":["kizo wallet list --json=currency,balance"]`},
		{"wallet list --json=currency,balnce", exitUsage, `"try":["kizo wallet list --json=currency,balance"]`},
	})
}

// seenLast returns the last request that moved money.
func seenLast(s *fakeServer) *strings.Builder {
	s.mu.Lock()
	defer s.mu.Unlock()
	var text strings.Builder
	if len(s.seen) > 0 {
		text.WriteString(s.seen[len(s.seen)-1])
	}
	return &text
}

// TestSuggestions: the error for a misspelled word contains the corrected command line.
func TestSuggestions(t *testing.T) {
	w := newWorld(t, newFakeServer(t, answerCode(500, client.Internal)).Server)
	checkTyped(t, w, []typed{
		// flags
		{"transfer @bob 5 --memmo lunch", exitUsage, "try: kizo transfer @bob 5 --memo lunch"},
		{"transfer @bob 5 --memmo=lunch", exitUsage, "try: kizo transfer @bob 5 --memo=lunch"},
		{"wallet list -json", exitUsage, "try: kizo wallet list --json"},
		{"transfers list --jsno", exitUsage, "try: kizo transfers list --json"},
		{"transfers list --sinze=2h", exitUsage, "try: kizo transfers list --since=2h"},
		{"transfers list --nothing-like-it", exitUsage, "try: kizo transfers list --help"},
		// values
		{"transfers list --state pendig", exitUsage, "try: kizo transfers list --state pending"},
		{"transfers list --state=Pending", exitUsage, "try: kizo transfers list --state=pending"},
		{"transfers list --kind deposits", exitUsage, "try: kizo transfers list --kind deposit"},
		{"transfers list --direction sideways", exitUsage, `"sideways" is not in or out`},
		{"transfers list --currency EURO", exitUsage, "try: kizo transfers list --currency EUR"},
		{"transfer @bob 5 EURO", exitUsage, "try: kizo transfer @bob 5 EUR"},
		{"ops payments list --state need_review", exitUsage, "try: kizo ops payments list --state needs_review"},
		{"ops tasks list --state archive", exitUsage, "try: kizo ops tasks list --state archived"},
		{"ops payments resolve " + someID + " execute --reason x", exitUsage, "try: kizo ops payments resolve " + someID + " executed --reason x"},
		{"dashboard --once --theme drak", exitUsage, "try: kizo dashboard --once --theme dark"},
		{"dashboard --json --theme nonsense", exitUsage, `nonsense`},
		// commands and topics
		{"trensfer @bob 5", exitUsage, "try: kizo transfer"},
		{"help nonsense", exitUsage, "no help"},
		{"help exitcodes", exitUsage, "try: kizo help exit-codes"},
		{"help envronment", exitUsage, "try: kizo help environment"},
		{"help trensfer", exitUsage, "try: kizo help transfer"},
		{"help transfers lsit", exitUsage, "try: kizo help transfers list"},
		{"help transfer nonsense", exitUsage, "try: kizo help transfer"},
		{"trensfer --help", exitUsage, "try: kizo transfer"},
		{"transfers lsit -h", exitUsage, "try: kizo transfers list"},
		{"completion bsah", exitUsage, "try: kizo completion bash"},
		{"help", exitDone, ""},
		{"help transfers list", exitDone, ""},
		{"help exit-codes", exitDone, ""},
		{"transfers list --help", exitDone, ""},
		{"transfers --help", exitDone, ""},
		{"--help", exitDone, ""},
	})
	w.terminal, w.secrets, w.env["KIZO_GLYPHS"] = true, []string{}, "brail"
	w.expect(exitUsage, "dashboard")
	testkit.Contains(t, w.err.String(), `KIZO_GLYPHS: "brail" is not ascii, blocks or braille`)
	config := w.write("config/kizo/config.toml", `curency = "EUR"`)
	w.expect(exitUsage, "config", "list")
	testkit.Contains(t, w.err.String(), config, "try: currency in place of curency")
}

// TestSwappedArguments: arguments in another order are rejected, and the error shows the right
// order.
func TestSwappedArguments(t *testing.T) {
	s := newFakeServer(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	w := newWorld(t, s.Server)
	checkTyped(t, w, []typed{
		{"transfer 12.50 @bob", exitUsage, "try: kizo transfer @bob 12.50"},
		{"transfer 12.50 bob@example.com -m lunch", exitUsage, "try: kizo transfer bob@example.com 12.50 -m lunch"},
		{"transfer 12.50 USD @bob", exitUsage, "try: kizo transfer @bob 12.50 USD"},
		{"transfer @bob USD 12.50", exitUsage, "try: kizo transfer @bob 12.50 USD"},
		{"transfer -m 12.50 12.50 @bob", exitUsage, "try: kizo transfer -m 12.50 @bob 12.50"},
		{"transfer USD @bob 12.50", exitUsage, "try: kizo transfer @bob 12.50 USD"},
		{"transfer 12.50~USD " + someID, exitUsage, "try: kizo transfer " + someID + " '12.50 USD'"},
		{"deposit USD 100", exitUsage, "try: kizo deposit 100 USD"},
		{"withdraw eur 100", exitUsage, "try: kizo withdraw 100 eur"},
		{"transfers capture 5 " + someID, exitUsage, "try: kizo transfers capture " + someID + " 5"},
		{"transfers reverse 5 " + someID, exitUsage, "try: kizo transfers reverse " + someID + " 5"},
		{"ops payments resolve rejected " + someID + " --reason x", exitUsage, "try: kizo ops payments resolve " + someID + " rejected --reason x"},
	})
}
