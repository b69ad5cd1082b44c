package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// emojiStyle (VS16) after a symbol asks for the symbol's colored form.
const emojiStyle = '\uFE0F'

// Clean returns s in a form that is safe to store, log and show: at most maxRunes characters,
// runs of white space as single blanks, none at the ends, and without invisible characters.
// Cleaning the result again changes nothing.
func Clean(s string, maxRunes int) string { return cut(visibleOnly(s, maxRunes, false), maxRunes) }

// CleanProse is Clean for a sentence in any language: it keeps joiners and emoji styles where a
// script or an emoji needs them.
func CleanProse(s string, maxRunes int) string {
	candidates := visibleOnly(s, maxRunes, true)
	var kept strings.Builder
	before := rune(0) // the last character kept
	for i, r := range candidates {
		switch {
		case IsJoiner(r) && !JoinerAllowed(kept.String(), r, candidates[i+utf8.RuneLen(r):]),
			r == emojiStyle && !unicode.Is(unicode.So, before):
			continue
		}
		kept.WriteRune(r)
		before = r
	}
	cleaned := cut(kept.String(), maxRunes)
	for { // the character that a joiner at the end needs may have been cut off
		r, size := utf8.DecodeLastRuneInString(cleaned)
		before := cleaned[:len(cleaned)-size]
		if !IsJoiner(r) || JoinerAllowed(before, r, "") {
			return cleaned
		}
		cleaned = before
	}
}

// visibleOnly drops invisible characters, except joiners and emoji styles if the caller decides
// about these, and replaces each run of white space with one blank. It stops after maxRunes+1
// visible characters.
func visibleOnly(s string, maxRunes int, joiners bool) string {
	var out strings.Builder
	visible, blank := 0, false
	for _, r := range s {
		if visible > maxRunes {
			break
		}
		switch {
		case unicode.IsSpace(r):
			blank = visible > 0
			continue
		case joiners && (IsJoiner(r) || r == emojiStyle):
			if !blank { // after a blank no script needs one
				out.WriteRune(r)
			}
			continue
		case Invisible(r):
			continue
		}
		if blank {
			out.WriteByte(' ')
			visible, blank = visible+1, false
		}
		out.WriteRune(r)
		visible++
	}
	return out.String()
}

// cut returns the first maxRunes characters of s, without blanks at the end.
func cut(s string, maxRunes int) string {
	n := 0
	for i := range s {
		if n == maxRunes {
			s = s[:i]
			break
		}
		n++
	}
	return strings.TrimRight(s, " ")
}

// Invisible reports whether a terminal shows no glyph for r: a control character, bidirectional
// and zero-width formatting, white space other than U+0020, a filler, a variation selector. With
// such characters one name could be made to look like another, or like Kizo's own words. The
// replacement character, which stands for bytes that are not UTF-8, counts as invisible.
func Invisible(r rune) bool {
	return !unicode.IsPrint(r) || r == utf8.RuneError ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
		r == '\u2800' // Braille blank
}

// Visible reports whether s consists of visible characters, and of joiners and emoji styles where
// a script or an emoji needs them.
func Visible(s string) bool {
	before := rune(0)
	for _, r := range s {
		if Invisible(r) && !IsJoiner(r) && (r != emojiStyle || !unicode.Is(unicode.So, before)) {
			return false
		}
		before = r
	}
	_, misplaced := MisplacedJoiner(s)
	return !misplaced
}

// Unprintable returns the first character of s that is neither printable nor a joiner, and
// whether there is one. It is less strict than [Visible]: fillers and variation selectors count
// as printable. Joiners are for [MisplacedJoiner] to judge.
func Unprintable(s string) (rune, bool) {
	for _, r := range s {
		if !unicode.IsPrint(r) && !IsJoiner(r) {
			return r, true
		}
	}
	return 0, false
}
