package text

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/net/idna"
)

const (
	nonJoiner = '\u200C'
	joiner    = '\u200D'
)

// Limits of what is read before a joiner.
const (
	maxMarks    = 4  // combining marks on the letter before it; languages need up to four
	maxContext  = 64 // bytes that an emoji is searched in
	maxSequence = 4  // joiners in one emoji; the longest that Unicode lists has three
)

// IsJoiner reports whether r is one of the joiners.
func IsJoiner(r rune) bool { return r == nonJoiner || r == joiner }

// JoinerAllowed reports whether the joiner r is allowed between before and after. The joiners in
// before must have been found to be allowed.
func JoinerAllowed(before string, r rune, after string) bool {
	next, _ := utf8.DecodeRuneInString(after)
	if unicode.Is(unicode.M, next) || IsJoiner(next) {
		return false // a mark or joiner would follow something invisible
	}
	return betweenLetters(before, r, next) || r == joiner && inEmoji(before, next)
}

// MisplacedJoiner returns the first joiner of s that is not allowed, and whether there is one.
func MisplacedJoiner(s string) (rune, bool) {
	if !strings.ContainsFunc(s, IsJoiner) {
		return 0, false
	}
	for i, r := range s {
		if IsJoiner(r) && !JoinerAllowed(s[:i], r, s[i+utf8.RuneLen(r):]) {
			return r, true
		}
	}
	return 0, false
}

// contextJ checks the rules CONTEXTJ of a label. The other characters of the labels checked here
// are letters and marks.
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

// lastLetter returns the letter at the end of s with its combining marks, and whether s ends
// with one.
func lastLetter(s string) (string, bool) {
	end := len(s)
	for range maxMarks + 1 {
		r, size := utf8.DecodeLastRuneInString(s[:end])
		end -= size
		switch {
		case unicode.IsLetter(r):
			return s[end:], true
		case !unicode.Is(unicode.M, r):
			return "", false
		}
	}
	return "", false
}

// inEmoji reports whether a joiner between before and next is inside one grapheme cluster, which
// readers see as one character.
func inEmoji(before string, next rune) bool {
	if len(before) > maxContext {
		before = before[len(before)-maxContext:]
	}
	last := ""
	for rest, state := before, -1; rest != ""; {
		last, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
	}
	if last == "" || !unicode.IsPrint(next) || unicode.IsLetter(next) || strings.Count(last, string(joiner)) >= maxSequence {
		return false
	}
	whole := last + string(joiner) + string(next)
	cluster, _, _, _ := uniseg.FirstGraphemeClusterInString(whole, -1)
	return cluster == whole
}
