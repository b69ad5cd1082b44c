package auth

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret holds bytes that must not be seen by accident: it prints, logs and
// marshals as "[redacted]". The bytes stand behind a function, since fmt calls
// no methods on unexported fields, and there follows a pointer when the verb is
// wrong for it.
type Secret struct{ held func() []byte }

// NewSecret returns a Secret holding a copy of b.
func NewSecret(b []byte) Secret {
	held := append([]byte(nil), b...)
	return Secret{held: func() []byte { return held }}
}

// randomSecret returns 32 random bytes.
func randomSecret() Secret {
	return NewSecret(randomBytes(32))
}

// Reveal returns the bytes themselves. The caller must not change them.
func (s Secret) Reveal() []byte {
	if s.held == nil {
		return nil
	}
	return s.held()
}

// Len returns the number of bytes held.
func (s Secret) Len() int { return len(s.Reveal()) }

// Equal compares in constant time.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare(s.Reveal(), other.Reveal()) == 1
}

// Format redacts every verb of fmt, %x and %#v included.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

func (s Secret) String() string   { return redacted }
func (s Secret) GoString() string { return redacted }

// LogValue redacts the secret in slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON redacts; the one place that stores secrets has a type of its own.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText redacts for every encoder that asks for text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
