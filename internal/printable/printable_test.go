package printable

import (
	"encoding/json"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/internal/text"
)

func TestText(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"plain", "lunch, 12.50", "lunch, 12.50"},
		{"letters of the world", "Žluťoučký 山田 שלום नमस्ते", "Žluťoučký 山田 שלום नमस्ते"},
		{"emoji", "🍕❤️", "🍕❤️"},
		{"escape sequence", "\x1b[31mred", `\u{1b}[31mred`},
		{"title sequence", "\x1b]0;x\x07", `\u{1b}]0;x\u{7}`},
		{"C1 control", "\u009b2J", `\u{9b}2J`},
		{"raw C1 byte", "\x9b2J", `\x{9b}2J`},
		{"delete", "a\x7f", `a\u{7f}`},
		{"line breaks", "a\nb\r\u2028c\u0085", `a\u{a}b\u{d}\u{2028}c\u{85}`},
		{"tab", "a\tb", `a\u{9}b`},
		{"direction override", "\u202etxt.exe", `\u{202e}txt.exe`},
		{"isolates", "\u2066x\u2069", `\u{2066}x\u{2069}`},
		{"Persian", "می\u200cخواهم", "می\u200cخواهم"},
		{"Sinhala", "ක්\u200dෂ", "ක්\u200dෂ"},
		{"family", "👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"},
		{"unneeded joiners", "a\u200db\u200cc👨\u200d", `a\u{200d}b\u{200c}c👨\u{200d}`},
		{"joiner after too many marks", "م\u064e\u064e\u064e\u064e\u064e\u200cن", "م\u064e\u064e\u064e\u064e\\u{64e}\\u{200c}ن"},
		{"zero width", "a\u200bb\ufeff", `a\u{200b}b\u{feff}`},
		{"tag characters", "a\U000e0041", `a\u{e0041}`},
		{"Hangul filler", "\u3164", `\u{3164}`},
		{"variation selector without a symbol", "a\ufe0f", `a\u{fe0f}`},
		{"private use", "\ue000", `\u{e000}`},
		{"invalid UTF-8", "a\xff\xc3", `a\x{ff}\x{c3}`},
		{"accents", "e\u0301", "e\u0301"},
		{"mark without a base character", "\u0301a", `\u{301}a`},
		{"too many marks", "e\u0301\u0301\u0301\u0301\u0301", "e\u0301\u0301\u0301\u0301\\u{301}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Text(test.in); got != test.want {
				t.Errorf("Text(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

func TestWidths(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{Pad("Ada", 5), "Ada  "},
		{Pad("山田", 5), "山田 "},
		{Pad("too long", 3), "too long"},
		{PadLeft("1.00", 6), "  1.00"},
		{Truncate("a long memo", 6), "a lon…"},
		{Truncate("山田太郎", 5), "山田…"},
		{Truncate("short", 9), "short"},
		{Pad("می\u200cخواهم", 9), "می\u200cخواهم  "},
		{Pad("👨\u200d👩\u200d👧", 4), "👨\u200d👩\u200d👧  "},
		{Truncate("a 👨\u200d👩\u200d👧 b", 5), "a 👨\u200d👩\u200d👧…"},
		{Truncate("a 👨\u200d👩\u200d👧 b", 4), "a …"},
		{Truncate("short", 0), ""},
		{Truncate("a\nb", 3), `a\…`},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "lunch", "\x1b[2J", "\u202e\u0301", "\xff\xfe", "❤️", "👩\u200d👩", "می\u200cخواهم", "ක්\u200dෂ", "\u009b", "a\u0300\u0300\u0300\u0300\u0300"} {
		f.Add(seed, 7)
	}
	f.Fuzz(func(t *testing.T, s string, width int) {
		safe := Text(s)
		checkSafe(t, safe)
		if r, bad := text.MisplacedJoiner(safe); bad {
			t.Errorf("U+%04X in %q", r, safe)
		}
		if again := Text(safe); again != safe {
			t.Errorf("Text is not idempotent: %q, then %q", safe, again)
		}
		width %= 200
		cut := Truncate(s, width)
		checkSafe(t, cut)
		if got := columns.StringWidth(cut); got > max(width, 0) {
			t.Errorf("Truncate(%q, %d) = %q takes %d columns", s, width, cut, got)
		}
		if got := columns.StringWidth(Pad(s, width)); got < width {
			t.Errorf("Pad(%q, %d) takes %d columns", s, width, got)
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{"", "a\"b\\c", "\u009b\u202e", "\U000e0041", "e\u0301", "\x00\x7f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		plain, err := json.MarshalIndent(map[string]string{"memo": s}, "", "\t")
		testkit.Must(t, err)
		safe := JSON(plain)
		for _, r := range string(safe) {
			if r != '\n' && r != '\t' && !visible(r) {
				t.Fatalf("%U in %q", r, safe)
			}
		}
		var before, after map[string]string
		testkit.Must(t, json.Unmarshal(plain, &before))
		if err := json.Unmarshal(safe, &after); err != nil {
			t.Fatalf("%q: %v", safe, err)
		}
		if before["memo"] != after["memo"] {
			t.Errorf("%q became %q", before, after)
		}
	})
}

func checkSafe(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Fatalf("%q is not UTF-8", s)
	}
	for _, r := range s {
		if text.IsJoiner(r) {
			continue // its position is checked separately
		}
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) || !unicode.IsGraphic(r) {
			t.Fatalf("%U in %q", r, s)
		}
		if r != emojiStyle && !visible(r) && !text.IsJoiner(r) {
			t.Fatalf("invisible %U in %q", r, s)
		}
	}
}
