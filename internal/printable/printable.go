// Package printable makes untrusted text safe to show on a terminal, for the command line and the
// dashboard.
//
//	printable.Text("lunch\x1b[2J")       lunch\u{1b}[2J
//	printable.Pad("Ada", 10)             "Ada       "
//	printable.Truncate("a long memo", 6) "a lon…"
//
// A memo, a name or a bank's reason may contain control sequences, characters that change the
// direction of writing, or invisible characters. Text writes all of those as visible escapes and
// leaves every other character as it is. Widths are columns of a terminal, not bytes or characters.
//
// The package may import internal/text, and nothing else of Kizo.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/JDevAman/kizo/internal/text"
)

// maxMarks limits the combining marks on one character. Languages need up to four; more of them
// overlap the lines above and below.
const maxMarks = 4

// emojiStyle (VS16) after a symbol selects its colored form. It and the joiners of Unicode, where a
// script or an emoji needs them (package joiner), are the only invisible characters that Text
// keeps.
const emojiStyle = '\uFE0F'

// Text returns s with everything that is not visible text written as \u{202e}, and bytes that are
// not UTF-8 as \x{ff}. The result is one line of text, and Text(Text(s)) equals Text(s).
func Text(s string) string {
	if plainASCII(s) {
		return s
	}
	var out strings.Builder
	out.Grow(len(s) + 16)
	marks, base := 0, rune(0) // the last visible character and the number of its marks
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x{%02x}`, s[i])
			marks, base = 0, 0
		case text.IsJoiner(r) && text.JoinerAllowed(out.String(), r, s[i+size:]):
			out.WriteRune(r)
		case r == emojiStyle && unicode.Is(unicode.So, base) && marks == 0:
			out.WriteRune(r)
			marks++
		case unicode.Is(unicode.M, r) && visible(r) && base != 0 && marks < maxMarks:
			out.WriteRune(r)
			marks++
		case !visible(r) || unicode.Is(unicode.M, r):
			fmt.Fprintf(&out, `\u{%x}`, r)
			marks, base = 0, 0
		default:
			out.WriteRune(r)
			marks, base = 0, r
		}
		i += size
	}
	return out.String()
}

// visible reports whether a terminal shows r, which may be a space, and does not interpret it as a
// control character.
func visible(r rune) bool {
	return unicode.IsGraphic(r) && // no control, format, private or unassigned characters, no line separators
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// JSON returns the JSON document with every character of its strings that Text would escape written
// as \u202e: safe to show, and equal when parsed. The input must be valid JSON, as encoding/json
// writes it.
func JSON(document []byte) []byte {
	if plainASCII(strings.TrimRight(string(document), "\n")) {
		return document
	}
	var out strings.Builder
	out.Grow(len(document) + 16)
	for _, r := range string(document) {
		switch {
		case r == '\n', r == '\t', r == '\r', visible(r) && !unicode.Is(unicode.M, r):
			out.WriteRune(r)
		case r > 0xFFFF:
			high, low := surrogates(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return []byte(out.String())
}

// surrogates returns the pair that JSON uses for a character beyond 16 bits (RFC 8259 §7).
func surrogates(r rune) (high, low rune) {
	r -= 0x10000
	return 0xD800 + r>>10, 0xDC00 + r&0x3FF
}
