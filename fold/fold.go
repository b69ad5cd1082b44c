// Package fold gives the form of a text in which searches compare it.
//
//	fold.Text("STRASSE")   // strasse
//	fold.Text("Straße")    // strasse
//	fold.Text("U\u0308nal") // ünal
//
// It is Unicode's NFKC_Casefold (UAX 44): full case folding, composed and compatibility
// characters made one, invisible ones left out. In addition the Turkish letters İ and ı
// are read as i, so that each is found whatever the keyboard or the case.
//
// The server stores this form beside names and memos; a change of it needs a migration
// that writes the stored ones anew. The package knows text alone.
package fold

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Text returns the folded form. Folding it again changes nothing.
func Text(s string) string {
	if IsASCII(s) {
		return strings.ToLower(s)
	}
	s = norm.NFKC.String(cases.Fold().String(norm.NFKC.String(norm.NFD.String(s))))
	s = strings.Map(func(r rune) rune {
		switch {
		case invisible(r):
			return -1
		case r == 'ı':
			return 'i'
		}
		return r
	}, s)
	for strings.Contains(s, "i\u0307") { // what İ is folded to
		s = strings.ReplaceAll(s, "i\u0307", "i")
	}
	return norm.NFKC.String(s)
}

// ASCII returns s with its ASCII letters in lower case, which is what Text gives for
// most texts, and what lower() gives in PostgreSQL under the collation "C".
func ASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// IsASCII tells whether all of s is ASCII.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func invisible(r rune) bool {
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
		r == '\u00AD' || r >= '\u200B' && r <= '\u200F' || r >= '\u202A' && r <= '\u202E' || r >= '\u2060' && r <= '\u206F' || r == '\uFEFF'
}
