package auth

import (
	"cmp"
	"net/netip"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/JDevAman/kizo/fold"
	"github.com/JDevAman/kizo/joiner"
)

// Client is who is at the other end, as far as a session's owner wants to know
// it later. Both fields come from outside and are cleaned before they are kept.
type Client struct {
	UserAgent string
	Address   string // an IP address; anything else is dropped
}

const (
	maxNameRunes   = 80
	maxClientRunes = 120
	maxReasonRunes = 200
	maxEmailBytes  = 254
	maxLocalBytes  = 64
)

var (
	handleForm = regexp.MustCompile(`^[a-z][a-z0-9_]{1,29}$`)
	// ASCII only: look-alike letters would let one address pass for another.
	// Internationalised domains have an ASCII form.
	emailForm = regexp.MustCompile(`^[a-z0-9.!#$%&'*+/=?^_` + "`" + `{|}~-]+@` +
		`[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$`)
)

func normalEmail(text string) (string, error) {
	email := lowerASCII(strings.TrimSpace(text))
	local, _, _ := strings.Cut(email, "@")
	if len(email) > maxEmailBytes || len(local) > maxLocalBytes || !emailForm.MatchString(email) {
		return "", &Error{Code: CodeEmailMalformed, Message: "this is not an e-mail address", Field: "email"}
	}
	return email, nil
}

func normalHandle(text string) (string, error) {
	handle := lowerASCII(strings.TrimPrefix(strings.TrimSpace(text), "@"))
	if !handleForm.MatchString(handle) {
		return "", &Error{
			Code: CodeHandleMalformed, Field: "handle",
			Message: "a handle is 2 to 30 characters, a-z, 0-9 and _, and begins with a letter",
		}
	}
	return handle, nil
}

// lowerASCII leaves other letters alone: U+212A (Kelvin) must not become a k.
func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

// login is an e-mail address or a handle, whichever is not empty. Both are
// empty for a text that can be neither, and that matches no user.
type login struct{ email, handle string }

func parseLogin(text string) login {
	if email, err := normalEmail(text); err == nil {
		return login{email: email}
	}
	if handle, err := normalHandle(text); err == nil {
		return login{handle: handle}
	}
	return login{}
}

func normalName(text string) (string, error) {
	name := strings.TrimSpace(text)
	if n := utf8.RuneCountInString(name); n < 1 || n > maxNameRunes || !utf8.ValidString(name) || !shown(name) {
		return "", &Error{
			Code: CodeNameMalformed, Field: "name",
			Message: "a name is 1 to 80 printable characters, without control or invisible ones",
		}
	}
	return name, nil
}

// maxKeyBytes bounds what is stored of a folded name, which may be 18 times as long as
// the name: more than an entry of an index holds.
const maxKeyBytes = 512

// nameKey is the form of a name, or of the beginning of one, in which it is searched for.
// It is never empty for a name that is not.
func nameKey(name string) string {
	key := cmp.Or(fold.Text(name), name)
	if len(key) <= maxKeyBytes {
		return key
	}
	return strings.ToValidUTF8(key[:maxKeyBytes], "")
}

// emojiStyle (VS16) after a symbol asks for its colored form.
const emojiStyle = '\uFE0F'

// shown tells whether a text is made of what a terminal shows, and of joiners and emoji
// styles where a script or an emoji needs them.
func shown(text string) bool {
	before := rune(0)
	for _, r := range text {
		if unseen(r) && !joiner.Is(r) && (r != emojiStyle || !unicode.Is(unicode.So, before)) {
			return false
		}
		before = r
	}
	_, misplaced := joiner.Misplaced(text)
	return !misplaced
}

// unseen tells what a terminal does not show as a glyph of its own: controls,
// bidi and zero-width formatting, odd spaces, fillers and variation selectors.
// With them one name could be made to look like another, or like Kizo's own words.
func unseen(r rune) bool {
	return !unicode.IsPrint(r) || r == utf8.RuneError ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
		r == '\u2800' // Braille blank
}

// clean makes any text safe to keep and to show, by dropping what is not.
func clean(text string, maxRunes int) string {
	text = strings.Map(func(r rune) rune {
		if unseen(r) {
			return -1
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > maxRunes {
		text = string(runes[:maxRunes])
	}
	return strings.TrimSpace(text)
}

func (c Client) clean() Client {
	if len(c.UserAgent) > 4*maxClientRunes { // before any work on it
		c.UserAgent = c.UserAgent[:4*maxClientRunes]
	}
	out := Client{UserAgent: clean(c.UserAgent, maxClientRunes)}
	if address, err := netip.ParseAddr(c.Address); err == nil {
		out.Address = address.Unmap().WithZone("").String()
	}
	return out
}
