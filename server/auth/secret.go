package auth

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret contains bytes that must not be shown by accident: it is printed, logged and
// marshaled as "[redacted]". The bytes are in a closure, because fmt calls no methods on
// unexported fields and prints what a pointer in such a field refers to.
type Secret struct{ held func() []byte }

// NewSecret returns a Secret with a copy of b.
func NewSecret(b []byte) Secret {
	held := append([]byte(nil), b...)
	return Secret{held: func() []byte { return held }}
}

// randomSecret returns 32 random bytes.
func randomSecret() Secret {
	return NewSecret(randomBytes(32))
}

// Reveal returns the bytes, which the caller must not change.
func (s Secret) Reveal() []byte {
	if s.held == nil {
		return nil
	}
	return s.held()
}

// Len returns the number of bytes.
func (s Secret) Len() int { return len(s.Reveal()) }

// Format redacts every verb of fmt, %x and %#v included.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

func (s Secret) String() string   { return redacted }
func (s Secret) GoString() string { return redacted }

// LogValue redacts the secret in slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON redacts the secret. Only secretsFile stores secrets as JSON, and it has types
// of its own.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText redacts the secret for encoders that use text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
