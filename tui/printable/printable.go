// Package printable makes text that came from others safe for a terminal.
//
//	printable.Text("lunch\x1b[2J")      // lunch\u{1b}[2J
//	printable.Pad("Ada", 10)            // "Ada       "
//	printable.Truncate("a long memo", 6) // "a lon…"
//
// A memo, a name or a bank's reason may hold control sequences, marks that turn the direction of
// writing, or characters that nobody sees. Text writes all of those as visible escapes and leaves
// every other character as it is. Widths are columns of a terminal, not bytes or characters.
//
// The package knows text alone: no wallet, no client, no Bubble Tea.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/JDevAman/kizo/joiner"
)

// maxMarks bounds the combining marks on one character. Languages need up to four; text with more
// climbs into the lines above and below.
const maxMarks = 4

// emojiStyle (VS16) after a symbol asks for its coloured form. It and the joiners of Unicode, where a
// script or an emoji needs them (package joiner), are all that is let through of the invisible.
const emojiStyle = '\uFE0F'

// Text gives s with everything that is not visible text written as \u{202e}, and bytes that are not
// UTF-8 as \x{ff}. The result is one line, and Text leaves it as it is.
func Text(s string) string {
	if plainASCII(s) {
		return s
	}
	var out strings.Builder
	out.Grow(len(s) + 16)
	marks, base := 0, rune(0) // of the visible character before
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x{%02x}`, s[i])
			marks, base = 0, 0
		case joiner.Is(r) && joiner.Allowed(out.String(), r, s[i+size:]):
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

// visible reports whether a terminal shows something for r, a space included, and takes no orders from it.
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

// JSON gives the same JSON document with everything in its strings that Text would escape written as
// \u202e: harmless to look at, equal when read. The input must be valid JSON, as encoding/json
// writes it.
func JSON(document []byte) []byte {
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

// surrogates is the pair that JSON writes for a character beyond 16 bits (RFC 8259 §7).
func surrogates(r rune) (high, low rune) {
	r -= 0x10000
	return 0xD800 + r>>10, 0xDC00 + r&0x3FF
}
