package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Bounds of a password, in bytes of UTF-8.
const (
	MinPasswordBytes = 10
	MaxPasswordBytes = 256
)

const (
	saltBytes   = 16
	digestBytes = 32
)

// storedPassword is what the users table keeps of a password.
type storedPassword struct {
	phc      string
	pepperID string
}

// passwords hashes and compares. Each hash costs Params.MemoryKiB and some tens
// of milliseconds of one core, so no more than the slots allow run at once.
type passwords struct {
	peppers Peppers
	params  Argon2Params
	slots   chan struct{}
	nobody  storedPassword // compared with when there is no such user

	hashing func(Argon2Params) // tests count the work here; nil otherwise
}

func newPasswords(peppers Peppers, params Argon2Params, slots int) *passwords {
	p := &passwords{peppers: peppers, params: params, slots: make(chan struct{}, slots)}
	// A random digest: no password gives it, and it costs nothing to make.
	p.nobody = storedPassword{
		phc:      phc{params: params, salt: randomBytes(saltBytes), digest: randomBytes(digestBytes)}.String(),
		pepperID: peppers.current.ID,
	}
	return p
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return b
}

// hash returns what to store for password.
func (p *passwords) hash(ctx context.Context, password string) (storedPassword, error) {
	h := phc{params: p.params, salt: randomBytes(saltBytes)}
	var err error
	h.digest, err = p.digest(ctx, p.peppers.current, password, h, digestBytes)
	if err != nil {
		return storedPassword{}, err
	}
	return storedPassword{phc: h.String(), pepperID: p.peppers.current.ID}, nil
}

// matches tells whether password is the stored one, and whether what is stored
// is stale: hashed under other parameters or an older pepper than today's.
func (p *passwords) matches(ctx context.Context, stored storedPassword, password string) (ok, stale bool, err error) {
	h, err := parsePHC(stored.phc)
	if err != nil {
		return false, false, err
	}
	pepper, known := p.peppers.byID(stored.pepperID)
	if !known {
		return false, false, fmt.Errorf("pepper %q is missing from the secrets", stored.pepperID)
	}
	digest, err := p.digest(ctx, pepper, password, h, len(h.digest))
	if err != nil {
		return false, false, err
	}
	ok = subtle.ConstantTimeCompare(digest, h.digest) == 1
	stale = h.params != p.params || len(h.digest) != digestBytes || pepper.ID != p.peppers.current.ID
	return ok, stale, nil
}

// digest waits for a slot, at most as long as ctx allows, and does the work.
func (p *passwords) digest(ctx context.Context, pepper Pepper, password string, h phc, length int) ([]byte, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
	if err := ctx.Err(); err != nil { // select is fair: a free slot may win over a dead caller
		return nil, fmt.Errorf("wait to hash a password: %w", err)
	}
	if p.hashing != nil {
		p.hashing(h.params)
	}
	return h.params.key(pepper.mac(password), h.salt, length), nil
}

func (a Argon2Params) key(input, salt []byte, length int) []byte {
	return argon2.IDKey(input, salt, a.Time, a.MemoryKiB, a.Threads, uint32(length))
}

// mac is where no byte of a long password is lost: whatever its length, Argon2
// gets 32 bytes that depend on all of it.
func (p Pepper) mac(password string) []byte {
	mac := hmac.New(sha256.New, p.Key.Reveal())
	mac.Write([]byte(password))
	return mac.Sum(nil)
}

func checkPassword(password string) error {
	switch {
	case !utf8.ValidString(password):
		return &Error{Code: CodePasswordMalformed, Message: "the password is not valid UTF-8", Field: "password"}
	case len(password) < MinPasswordBytes:
		return &Error{
			Code: CodePasswordTooShort, Field: "password",
			Message: fmt.Sprintf("the password needs at least %d bytes", MinPasswordBytes),
		}
	case len(password) > MaxPasswordBytes:
		return &Error{
			Code: CodePasswordTooLong, Field: "password",
			Message: fmt.Sprintf("the password may have at most %d bytes", MaxPasswordBytes),
		}
	}
	return nil
}
