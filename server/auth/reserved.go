package auth

import (
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/JDevAman/kizo/server/problem"
)

// Handles and names that would pass for Kizo or its staff are reserved. A text is compared by
// its appearance: without accents, separators and invisible characters, with
// look-alikes of other scripts, digits and signs read as the letters they stand for, and
// with repeated letters read as one.
var (
	// A text that consists of these words and of decoration is refused: support, the_bank, admin1.
	reservedWords = prepare(true, `kizo kizod admin admins administrator administrators administration support helpdesk help helpline
		security root superuser sysadmin system staff operator operators moderator moderators bank official fraud compliance treasury
		customerservice customersupport customercare trustandsafety`)

	// Each of these is refused as a separate word anywhere in a text: Bob from Kizo.
	reservedAnywhere = prepare(true, `kizo kizod admin administrator support helpdesk sysadmin moderator`)

	// Each of these is refused as a handle, because it would seem to be part of the system.
	reservedHandles = prepare(false, `adm sudo webmaster postmaster hostmaster abuse noc service services care mod mods sys banking billing
		payments payment payout payouts refund refunds settlement clearing suspense fees fee risk legal audit auditor verify verified
		verification trust safety info contact news noreply mailer daemon nobody null undefined nil none anonymous everyone everybody
		api www http https status robot janitor worker me self you account accounts login signin signup logout password settings wallet
		deposit deposits withdraw withdrawal withdrawals transfer transfers events dashboard ops`)

	// Words of decoration do not make a reserved word acceptable.
	decoration = prepare(true, `the my our your we of and for from team teams desk center centre customer customers client
		clients user users account accounts department dept online app wallet wallets pay payment payments money service services agent
		agents group company co inc ltd llc plc gmbh corp hq global international worldwide world chief head senior real true genuine
		verified trusted live chat care contact info news mr mrs ms dr uk usa eu de fr en official`)
)

// reservedHandle reports whether a handle is reserved or looks like one that is.
func reservedHandle(handle string) bool {
	g := glyphs(handle)
	for _, word := range reservedHandles {
		if word.ends(g, 0)[len(g)] {
			return true
		}
	}
	return reservedText(g)
}

// reservedName reports whether only staff may have a name.
func reservedName(name string) bool { return reservedText(glyphs(name)) }

func reservedText(g []glyph) bool { return madeOfReserved(g) || containsReserved(g) }

// madeOfReserved reports whether a text consists of reserved words, at least one, and
// decoration.
func madeOfReserved(g []glyph) bool {
	const bare, withReserved = 1, 2 // content of the text before a position
	reached := make([]int, len(g)+1)
	reached[0] = bare
	for at := range g {
		if reached[at] == 0 {
			continue
		}
		if g[at].separator {
			reached[at+1] |= reached[at]
		}
		for _, word := range reservedWords {
			for end := range word.ends(g, at) {
				reached[end] |= withReserved
			}
		}
		for _, word := range decoration {
			for end := range word.ends(g, at) {
				reached[end] |= reached[at]
			}
		}
	}
	return reached[len(g)]&withReserved != 0
}

func containsReserved(g []glyph) bool {
	for at := range g {
		if at > 0 && !g[at-1].separator && !g[at].capital {
			continue
		}
		for _, word := range reservedAnywhere {
			for end := range word.ends(g, at) {
				if end == len(g) || g[end].separator || g[end].capital {
					return true
				}
			}
		}
	}
	return false
}

// glyph is the appearance of a character.
type glyph struct {
	letter    byte // the letter that it may be read as; 0 if there is none
	also      byte // another such letter
	separator bool // it may separate words
	capital   bool // a capital after a small letter, which begins a word
}

const skippable = "0123456789!|$@+€"

// second contains alternative letters: и looks like n and sounds like i, 6 looks like b and G.
var second = map[rune]byte{'и': 'l', 'И': 'l', '6': 'g'}

// lookalikes maps a character to the ASCII letters that it looks like.
var lookalikes = sync.OnceValue(func() map[rune]string {
	table := map[rune]string{
		'0': "o", '1': "l", '2': "z", '3': "e", '4': "a", '5': "s", '6': "b", '7': "t", '8': "b", '9': "g",
		'!': "i", '|': "l", '$': "s", '@': "a", '+': "t", '€': "e",
	}
	for _, c := range confusables {
		for _, r := range c.lookalikes {
			table[r] = c.letters
		}
	}
	return table
})

// glyphs returns the appearance of a text. Letters that look alike in many typefaces are the
// same: i is l, m is rn and w is vv.
func glyphs(text string) []glyph {
	var out []glyph
	var before rune
	for _, r := range norm.NFKD.String(text) {
		if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			continue
		}
		capital := unicode.IsUpper(r) && unicode.IsLower(before)
		before = r
		letters := asciiLetters(r)
		for i := range len(letters) {
			for _, letter := range []byte(shape(letters[i])) {
				out = append(out, glyph{letter: letter, also: second[r], separator: strings.ContainsRune(skippable, r), capital: capital})
				capital = false
			}
		}
		if letters == "" {
			out = append(out, glyph{separator: !unicode.IsLetter(r), capital: capital})
		}
	}
	return out
}

// asciiLetters returns the letters that r is or looks like, in lower case.
func asciiLetters(r rune) string {
	switch {
	case 'a' <= r && r <= 'z':
		return string(r)
	case 'A' <= r && r <= 'Z':
		return string(r + 'a' - 'A')
	case 0x1F150 <= r && r <= 0x1F169: // negative circled
		return string('a' + r - 0x1F150)
	case 0x1F170 <= r && r <= 0x1F189: // negative squared
		return string('a' + r - 0x1F170)
	case 0x1F1E6 <= r && r <= 0x1F1FF: // regional indicators
		return string('a' + r - 0x1F1E6)
	}
	if letters, ok := lookalikes()[r]; ok {
		return letters
	}
	return lookalikes()[unicode.ToLower(r)]
}

func shape(letter byte) string {
	switch letter {
	case 'i':
		return "l"
	case 'm':
		return "rn"
	case 'w':
		return "vv"
	}
	return string(letter)
}

// reservedWord is a word in the letters that glyphs returns.
type reservedWord string

// prepare reads words. Where loose is set, doubled letters of words of five letters or
// more may be single in a text.
func prepare(loose bool, words string) []reservedWord {
	var out []reservedWord
	for _, word := range strings.Fields(words) {
		var b []byte
		for i := range len(word) {
			for _, letter := range []byte(shape(word[i])) {
				if loose && len(word) >= 5 && len(b) > 0 && b[len(b)-1] == letter && word[i] != 'w' {
					continue
				}
				b = append(b, letter)
			}
		}
		out = append(out, reservedWord(b))
	}
	return out
}

// ends returns the positions at which the word may end if it begins at a position: its
// letters may be repeated, and separators may stand between them.
func (w reservedWord) ends(g []glyph, at int) map[int]bool {
	var ends map[int]bool
	matched := uint64(1) // bit n: the first n letters have been read; no word has more than 63
	for ; at < len(g) && matched != 0; at++ {
		var next uint64
		for n := range len(w) + 1 {
			if matched&(1<<n) == 0 {
				continue
			}
			if n < len(w) && g[at].reads(w[n]) {
				next |= 1 << (n + 1)
			}
			if n > 0 && (g[at].separator || g[at].reads(w[n-1])) {
				next |= 1 << n
			}
		}
		matched = next
		if matched&(1<<len(w)) != 0 {
			if ends == nil {
				ends = make(map[int]bool)
			}
			ends[at+1] = true
		}
	}
	return ends
}

func (g glyph) reads(letter byte) bool { return g.letter == letter || g.also == letter }

func checkHandleFree(handle string) error {
	if !reservedHandle(handle) {
		return nil
	}
	return &problem.Error{
		Code: CodeHandleReserved, Field: "handle",
		Message: "this handle is reserved for Kizo, or looks like one that is; choose another",
	}
}

func errNameReserved() *problem.Error {
	return &problem.Error{
		Code: CodeNameReserved, Field: "name",
		Message: "this name would pass for Kizo or its staff; choose another",
	}
}
