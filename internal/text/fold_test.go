package text

import (
	"testing"
	"unicode/utf8"
)

func TestFold(t *testing.T) {
	t.Parallel()
	for _, alike := range [][]string{
		{"", "\u200d"},
		{"lunch", "LUNCH", "Lunch", "ｌｕｎｃｈ"},
		{"ünal", "Ünal", "ÜNAL", "U\u0308nal", "u\u0308NAL"},
		{"strasse", "Straße", "STRASSE", "STRAẞE"},
		{"istanbul", "İstanbul", "ISTANBUL", "İSTANBUL", "I\u0307stanbul", "ıstanbul"},
		{"οδυσσευσ", "ΟΔΥΣΣΕΥΣ", "οδυσσευς"},
		{"привет", "ПРИВЕТ", "Привет"},
		{"한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"},
		{"fi", "ﬁ", "FI"}, {"1⁄2", "½"},
		{"ガ", "ｶﾞ", "カ\u3099"},
		{"میخواهم", "می\u200cخواهم"},
		{"❤", "❤\ufe0f"},
	} {
		for _, text := range alike {
			if got := Fold(text); got != alike[0] {
				t.Errorf("%+q: %+q, want %+q", text, got, alike[0])
			}
		}
	}
	if Fold("u") == Fold("ü") || Fold("o") == Fold("ø") {
		t.Error("accents are not left out")
	}
}

func FuzzFold(f *testing.F) {
	f.Add("İßΣς\u0345ǰ")
	f.Add("ı\u0307\u0307\u200di\u0307")
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		folded := Fold(s)
		if twice := Fold(folded); twice != folded {
			t.Errorf("%+q: %+q, then %+q", s, folded, twice)
		}
	})
}
