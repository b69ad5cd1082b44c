package auth

import (
	"cmp"
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/server/problem"
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

func normalEmail(input string) (string, error) {
	email := text.LowerASCII(strings.TrimSpace(input))
	local, _, _ := strings.Cut(email, "@")
	if len(email) > maxEmailBytes || len(local) > maxLocalBytes || !emailForm.MatchString(email) {
		return "", &problem.Error{Code: CodeEmailMalformed, Message: "this is not an e-mail address", Field: "email"}
	}
	return email, nil
}

func normalHandle(input string) (string, error) {
	handle := text.LowerASCII(strings.TrimPrefix(strings.TrimSpace(input), "@"))
	if !handleForm.MatchString(handle) {
		return "", &problem.Error{
			Code: CodeHandleMalformed, Field: "handle",
			Message: "a handle is 2 to 30 characters, a-z, 0-9 and _, and begins with a letter",
		}
	}
	return handle, nil
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

func normalName(input string) (string, error) {
	name := strings.TrimSpace(input)
	if n := utf8.RuneCountInString(name); n < 1 || n > maxNameRunes || !utf8.ValidString(name) || !text.Visible(name) {
		return "", &problem.Error{
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
	key := cmp.Or(text.Fold(name), name)
	if len(key) <= maxKeyBytes {
		return key
	}
	return strings.ToValidUTF8(key[:maxKeyBytes], "")
}

func (c Client) clean() Client {
	out := Client{UserAgent: text.Clean(c.UserAgent, maxClientRunes)}
	if address, err := netip.ParseAddr(c.Address); err == nil {
		out.Address = address.Unmap().WithZone("").String()
	}
	return out
}
