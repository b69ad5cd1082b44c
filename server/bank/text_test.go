package bank_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/JDevAman/kizo/server/bank"
)

func TestCleanText(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"  no\t\r\nfunds  ":      "no funds",
		"\x1b]52;c;aGk=\aok":     "]52;c;aGk=ok",
		"\u009b31mred":           "31mred",
		"pay\u202eeeyap\u2066":   "payeeyap",
		"ze\u200bro\ufeff":       "zero",
		"می\u200cخواهم a\u200cb": "می\u200cخواهم ab",
		"Übergröße 円 ✓":          "Übergröße 円 ✓",
		strings.Repeat("é", 999): strings.Repeat("é", 200),
		strings.Repeat("a ", 99): strings.TrimSpace(strings.Repeat("a ", 99)),
	} {
		if got := bank.CleanText(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add("a \x1b[2J\u202e\xff b")
	f.Add(strings.Repeat("x y", 100))
	f.Fuzz(func(t *testing.T, in string) {
		out := bank.CleanText(in)
		if !utf8.ValidString(out) || utf8.RuneCountInString(out) > bank.MaxReasonRunes || bank.CleanText(out) != out {
			t.Fatalf("%q becomes %q", in, out)
		}
		for _, r := range out {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q keeps %U", in, r)
			}
		}
	})
}
