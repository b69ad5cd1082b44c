package auth

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/JDevAman/kizo/server/problem"
)

//go:embed common_passwords.txt
var commonPasswordList string

// commonPasswords are the passwords of the list, in lower case.
var commonPasswords = sync.OnceValue(func() map[string]bool {
	set := make(map[string]bool, 6000)
	for line := range strings.Lines(commonPasswordList) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			set[line] = true
		}
	}
	return set
})

const (
	maxPlainAffix     = 6  // characters around a common word that do not make it strong
	minWithoutOwn     = 8  // bytes of a password without the words of its user
	minOwnWord        = 3  // shorter parts of a handle or an address are ignored
	minDigits         = 15 // of a password that has only digits: longer than phone numbers and dates
	minDistinct       = 4  // different characters
	maxRepeatedUnit   = 5  // longer units may be repeated unless they are common themselves
	stepsForEachBreak = 4  // a sequence or keyboard walk may have one break per so many characters
)

// checkPasswordStrength refuses a password that attackers try first, and one that consists of
// publicly known words of its user: handle, e-mail address, name.
func checkPasswordStrength(password string, user User) error {
	text := strings.ToLower(norm.NFKC.String(password))
	if commonPassword(text) {
		return &problem.Error{
			Code: CodePasswordTooCommon, Field: "password",
			Message: "this password, or one much like it, is among the first that attackers try; four unrelated words make a good one",
		}
	}
	rest := text
	local, domain, _ := strings.Cut(user.Email, "@")
	own := append([]string{user.Email, user.Handle, local, domain}, strings.FieldsFunc(local+" "+domain+" "+user.Handle, notAlphanumeric)...)
	own = append(own, strings.FieldsFunc(strings.ToLower(norm.NFKC.String(user.Name)), notAlphanumeric)...)
	for _, word := range own {
		if len(word) >= minOwnWord {
			rest = strings.ReplaceAll(rest, word, "")
		}
	}
	if rest != text && (len(rest) < minWithoutOwn || commonPassword(rest)) {
		return &problem.Error{
			Code: CodePasswordPersonal, Field: "password",
			Message: "this password is made of your handle, name or e-mail address, which others know; four unrelated words make a good one",
		}
	}
	return nil
}

// commonPassword reports whether a lower-case text is in the list, is a simple variant of an
// entry (with digits and signs around it, or in place of letters), or follows a simple rule:
// a sequence, a walk over the keyboard, a repetition, only digits.
func commonPassword(text string) bool {
	plain := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune("-_.", r) {
			return -1
		}
		return r
	}, text)
	for _, variant := range []string{text, plain} {
		if commonWord(variant) || repeated(variant) || walk([]rune(variant)) || few(variant) {
			return true
		}
	}
	return false
}

// commonWord reports whether text is an entry of the list or a simple variant of one.
func commonWord(text string) bool {
	set := commonPasswords()
	if set[text] || set[unleet(text)] {
		return true
	}
	// A common word whose first or last characters are digits or signs in place of
	// letters is caught by the second form, one with a number around it by the first.
	for _, core := range []string{strings.TrimFunc(text, notLetter), strings.TrimFunc(text, unicode.IsDigit)} {
		affix := len(text) - len(core)
		if (set[core] || set[unleet(core)]) && (affix <= maxPlainAffix || walk([]rune(strings.Replace(text, core, "", 1)))) {
			return true
		}
	}
	return false
}

var leet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "9", "g",
	"@", "a", "$", "s", "!", "i", "+", "t", "€", "e", "|", "l")

func unleet(text string) string { return leet.Replace(text) }

// repeated reports whether text repeats one short or common unit.
func repeated(text string) bool {
	runes := []rune(text)
	for period := 1; period <= len(runes)/2; period++ {
		again := true
		for i := period; i < len(runes) && again; i++ {
			again = runes[i] == runes[i-period]
		}
		if again && (period <= maxRepeatedUnit || commonWord(string(runes[:period]))) {
			return true
		}
	}
	return false
}

// few reports whether text has few different characters, or consists of few digits.
func few(text string) bool {
	distinct := make(map[rune]bool)
	for _, r := range text {
		distinct[r] = true
	}
	return len(distinct) < minDistinct || (len(text) < minDigits && strings.Trim(text, "0123456789") == "")
}

// keyboardRows are the rows and columns of keyboards. Neighbors, in either direction, are one
// step apart.
var keyboardRows = []string{
	"1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn",
	"1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik,", "9ol.", "0p;/", "!@#$%^&*()",
}

var keyboardSteps = sync.OnceValue(func() map[[2]rune]bool {
	steps := make(map[[2]rune]bool)
	for _, row := range keyboardRows {
		keys := []rune(row)
		for i := 1; i < len(keys); i++ {
			steps[[2]rune{keys[i-1], keys[i]}], steps[[2]rune{keys[i], keys[i-1]}] = true, true
		}
	}
	return steps
})

// walk reports whether keys follow each other in the alphabet, in numbers or on a keyboard,
// directly or alternating (1q2w3e4r5t).
func walk(keys []rune) bool {
	if steps(keys) {
		return true
	}
	var even, odd []rune
	for i, key := range keys {
		if i%2 == 0 {
			even = append(even, key)
		} else {
			odd = append(odd, key)
		}
	}
	return len(keys) >= MinPasswordBytes && steps(even) && steps(odd)
}

func steps(keys []rune) bool {
	breaks := 0
	for i := 1; i < len(keys); i++ {
		from, to := keys[i-1], keys[i]
		if d := to - from; (d < -1 || d > 1) && !keyboardSteps()[[2]rune{from, to}] {
			breaks++
		}
	}
	return breaks <= len(keys)/stepsForEachBreak
}

func notLetter(r rune) bool       { return !unicode.IsLetter(r) }
func notAlphanumeric(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
