package bank

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/JDevAman/kizo/joiner"
)

// CleanText makes words of the bank fit for a row, a log and a terminal: at
// most MaxReasonRunes runes, white space as single blanks, and nothing that is
// not printable (control characters, escape sequences, bidirectional overrides
// and zero-width marks are dropped, joiners where no script needs them too).
func CleanText(s string) string {
	var b strings.Builder
	runes, blank := 0, false
	for i, r := range s {
		if unicode.IsSpace(r) {
			blank = runes > 0
			continue
		}
		joins := joiner.Is(r) && !blank && joiner.Allowed(b.String(), r, s[i+utf8.RuneLen(r):])
		if !unicode.IsPrint(r) && !joins {
			continue
		}
		if blank && runes < MaxReasonRunes-1 {
			b.WriteByte(' ')
			runes++
		}
		blank = false
		if runes == MaxReasonRunes {
			break
		}
		b.WriteRune(r)
		runes++
	}
	return b.String()
}

// visible says whether s is 1..64 bytes of visible ASCII.
func visible(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
