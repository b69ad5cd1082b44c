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

// Client describes the client of a request, for the list of sessions and security events. Both
// fields come from the client and are cleaned before they are stored.
type Client struct {
	UserAgent string
	Address   string // an IP address; other texts are dropped

	DeviceToken string // of an earlier log-in; anything else counts as none
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
	// ASCII only: with look-alike letters one address could pass for another.
	// Internationalized domains have an ASCII form.
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

// login is an e-mail address or a handle. Both are empty for a text that is neither, which
// matches no user.
type login struct{ email, handle string }

func parseLogin(text string) login {
	if handle, err := normalHandle(text); err == nil {
		return login{handle: handle}
	}
	if email, err := normalEmail(text); err == nil {
		return login{email: email}
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

// maxKeyBytes is the maximum length of a stored folded name. Folding can make a name 18 times
// as long, which would exceed the size of an index entry.
const maxKeyBytes = 512

// nameKey returns the folded form of a name, or of a prefix of one, which searches compare. It
// is not empty unless the name is.
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
