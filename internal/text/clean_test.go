package text

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{ // by Clean, by CleanProse where that differs
		"":                              {""},
		"  no\t\r\nfunds  ":             {"no funds"},
		"\x1b]52;c;aGk=\aok":            {"]52;c;aGk=ok"},
		"\u009b31mred":                  {"31mred"},
		"pay\u202eeeyap\u2066":          {"payeeyap"},
		"ze\u200bro\ufeff":              {"zero"},
		"a\xff\ufffdb\u3164\u2800":      {"ab"},
		"می\u200cخواهم a\u200cb":        {"میخواهم ab", "می\u200cخواهم ab"},
		"❤\ufe0f a\ufe0f":               {"❤ a", "❤\ufe0f a"},
		"می \u200cخ\u200c":              {"می خ"},
		"න්\u200d\x01\u0dd2":            {"න්\u0dd2"}, // the mark would follow the joiner
		"Übergröße 円 ✓":                 {"Übergröße 円 ✓"},
		strings.Repeat("é", 999):        {strings.Repeat("é", 200)},
		strings.Repeat("a ", 99):        {strings.TrimSpace(strings.Repeat("a ", 99))},
		strings.Repeat("a", 199) + " b": {strings.Repeat("a", 199)},
		// What the joiner stands before is cut off.
		strings.Repeat("a", 198) + "👨\u200d👩": {strings.Repeat("a", 198) + "👨👩", strings.Repeat("a", 198) + "👨"},
	} {
		if got := Clean(in, 200); got != want[0] {
			t.Errorf("Clean: %+q becomes %+q, want %+q", in, got, want[0])
		}
		prose := want[0]
		if want[1] != "" {
			prose = want[1]
		}
		if got := CleanProse(in, 200); got != prose {
			t.Errorf("CleanProse: %+q becomes %+q, want %+q", in, got, prose)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a \x1b[2J\u202e\xff b")
	f.Add(strings.Repeat("x y", 100))
	f.Add("ක්\u200dෂ\x02👨\u200d\u200d👩 ❤\ufe0f\u200d")
	f.Fuzz(func(t *testing.T, in string) {
		for _, maxRunes := range []int{1, 7, 200} {
			out, prose := Clean(in, maxRunes), CleanProse(in, maxRunes)
			if !utf8.ValidString(out) || utf8.RuneCountInString(out) > maxRunes || Clean(out, maxRunes) != out || strings.ContainsFunc(out, Invisible) {
				t.Fatalf("Clean: %+q becomes %+q", in, out)
			}
			if !utf8.ValidString(prose) || utf8.RuneCountInString(prose) > maxRunes || CleanProse(prose, maxRunes) != prose || !Visible(prose) {
				t.Fatalf("CleanProse: %+q becomes %+q", in, prose)
			}
		}
	})
}
