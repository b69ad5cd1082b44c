// Package joiner tells where the two invisible joiners of Unicode belong in a text.
//
//	U+200C zero width non-joiner    می‌خواهم (Persian), नमस्‌ते (Devanagari)
//	U+200D zero width joiner        ක්‍ෂ (Sinhala), 👨‍👩‍👧
//
// Several scripts cannot be written without them. Anywhere else they are invisible, and
// with them two texts that look alike differ. A joiner is allowed
//
//   - between letters, by the rules CONTEXTJ of RFC 5892, appendix A.1 and A.2: after a
//     virama, and for the non-joiner also between two letters that would join;
//   - in an emoji, by the emoji ZWJ sequences of UTS 51, section 2.3: between two of its parts.
//
// The server refuses other joiners in memos and names, and the client shows them as
// escapes. The package knows text alone.
package joiner

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/net/idna"
)

// The joiners.
const (
	NonJoiner = '\u200C'
	Joiner    = '\u200D'
)

const (
	maxMarks    = 4  // on the letter before a joiner that are looked at; languages need up to four
	maxContext  = 64 // bytes before a joiner that are looked at for an emoji
	maxSequence = 4  // joiners in one emoji; those that Unicode lists have up to three
)

// Is reports whether r is one of the joiners.
func Is(r rune) bool { return r == NonJoiner || r == Joiner }

// Allowed reports whether the joiner r may stand between before and after, in texts
// where the joiners of before have been found to be allowed.
func Allowed(before string, r rune, after string) bool {
	next, _ := utf8.DecodeRuneInString(after)
	if unicode.Is(unicode.M, next) || Is(next) {
		return false // they would stand on something invisible
	}
	return betweenLetters(before, r, next) || r == Joiner && inEmoji(before, next)
}

// Misplaced returns the first joiner of a text that is not allowed, and whether there is one.
func Misplaced(text string) (rune, bool) {
	if !strings.ContainsFunc(text, Is) {
		return 0, false
	}
	for i, r := range text {
		if Is(r) && !Allowed(text[:i], r, text[i+utf8.RuneLen(r):]) {
			return r, true
		}
	}
	return 0, false
}

// contextJ checks the rules CONTEXTJ of a label, whose other characters are letters and
// marks here.
var contextJ = idna.New(idna.CheckJoiners(true), idna.ValidateLabels(true))

func betweenLetters(before string, r, next rune) bool {
	base, ok := lastLetter(before)
	if !ok {
		return false
	}
	label := base + string(r)
	if unicode.IsLetter(next) {
		label += string(next)
	}
	_, err := contextJ.ToUnicode(label)
	return err == nil
}

// lastLetter returns the letter that a text ends with, and its marks.
func lastLetter(text string) (string, bool) {
	end := len(text)
	for range maxMarks + 1 {
		r, size := utf8.DecodeLastRuneInString(text[:end])
		end -= size
		switch {
		case unicode.IsLetter(r):
			return text[end:], true
		case !unicode.Is(unicode.M, r):
			return "", false
		}
	}
	return "", false
}

// inEmoji reports whether the joiner between before and next is inside of one character
// as people see it.
func inEmoji(before string, next rune) bool {
	if len(before) > maxContext {
		before = before[len(before)-maxContext:]
	}
	last := ""
	for rest, state := before, -1; rest != ""; {
		last, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
	}
	if last == "" || !unicode.IsPrint(next) || unicode.IsLetter(next) || strings.Count(last, string(Joiner)) >= maxSequence {
		return false
	}
	whole := last + string(Joiner) + string(next)
	cluster, _, _, _ := uniseg.FirstGraphemeClusterInString(whole, -1)
	return cluster == whole
}
