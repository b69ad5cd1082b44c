package mail

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode/utf8"

	"github.com/JDevAman/kizo/internal/text"
)

// Message is a plain text mail to one user.
type Message struct {
	To      string // a bare address, such as ada@example.com
	Subject string
	Body    string // lines end with \n
}

// Sender delivers messages: an [SMTP] server, or the [Mailbox] of kizod dev.
type Sender interface {
	// Send returns after the message was accepted. The error is a [*Rejected] if another attempt
	// would fail as well; after any other error, the message may or may not have been accepted.
	Send(ctx context.Context, m Message) error
}

// Rejected is the error of a message that no attempt delivers.
type Rejected struct{ Cause error }

// Error returns the reason.
func (r *Rejected) Error() string { return "the mail was rejected: " + r.Cause.Error() }

// Unwrap returns the cause.
func (r *Rejected) Unwrap() error { return r.Cause }

// Bounds of a message.
const (
	maxSubjectRunes = 120
	maxBodyBytes    = 16 << 10
	maxAddressBytes = 254 // as the table users
)

// check refuses what could add a header or a recipient, whatever the library behind a Sender does
// with it. It returns the message with a subject that is one line of visible characters.
func (m Message) check() (Message, error) {
	address, err := mail.ParseAddress(m.To)
	switch {
	case err != nil:
		return Message{}, fmt.Errorf("the address cannot be read: %w", err)
	case address.Address != m.To || len(m.To) > maxAddressBytes || strings.ContainsFunc(m.To, notASCII):
		return Message{}, errors.New("the address is not a bare address of visible ASCII")
	case len(m.Body) > maxBodyBytes || !utf8.ValidString(m.Body) || strings.ContainsAny(m.Body, "\r\x00\x1b"):
		return Message{}, errors.New("the body is too long, or not plain text")
	}
	m.Subject = text.Clean(m.Subject, maxSubjectRunes)
	return m, nil
}

func notASCII(r rune) bool { return r <= ' ' || r > '~' }
