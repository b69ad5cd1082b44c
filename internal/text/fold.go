package text

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold returns the form of s in which searches compare it:
//
//	Fold("STRASSE")    // strasse
//	Fold("Straße")     // strasse
//	Fold("U\u0308nal") // ünal
//
// Folding the result again changes nothing.
func Fold(s string) string {
	if IsASCII(s) {
		return strings.ToLower(s)
	}
	s = norm.NFKC.String(cases.Fold().String(norm.NFKC.String(norm.NFD.String(s))))
	s = strings.Map(func(r rune) rune {
		switch {
		case ignoredByFold(r):
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

// LowerASCII returns s with its ASCII letters in lower case and all other letters unchanged:
// U+212A (Kelvin) does not become a k. It returns what Fold returns for most texts, and what
// lower() returns in PostgreSQL under the collation "C".
func LowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// IsASCII reports whether all of s is ASCII.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// ignoredByFold is part of the stored form, and therefore apart from [Invisible].
func ignoredByFold(r rune) bool {
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
		r == '\u00AD' || r >= '\u200B' && r <= '\u200F' || r >= '\u202A' && r <= '\u202E' ||
		r >= '\u2060' && r <= '\u206F' || r == '\uFEFF'
}
