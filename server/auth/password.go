package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/JDevAman/kizo/server/problem"
)

// Minimum and maximum length of a password in bytes of UTF-8.
const (
	MinPasswordBytes = 10
	MaxPasswordBytes = 256
)

const (
	saltBytes   = 16
	digestBytes = 32
)

// storedPassword is the form of a password in the table users.
type storedPassword struct {
	phc       string
	pepperID  string
	changedAt *time.Time // nil: it is the password of the sign-up
}

// passwords hashes and compares passwords, in the slots of the hash queue.
type passwords struct {
	peppers Peppers
	params  Argon2Params
	dummy   storedPassword // compared with if there is no such user
}

func newPasswords(peppers Peppers, params Argon2Params) *passwords {
	p := &passwords{peppers: peppers, params: params}
	// A random digest: no password has it, and it needs no hash.
	p.dummy = storedPassword{
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

// salt is the same for all users with one e-mail address. Until one of them has verified the
// address there may be several, and a log-in by that address must find the one whose password
// matches with a single hash. The salt depends on the pepper, so an attacker cannot compute
// it in advance.
func (p *passwords) salt(email string) []byte {
	mac := hmac.New(sha256.New, p.peppers.current.Key.Reveal())
	mac.Write([]byte("kizo password salt\x00" + email))
	return mac.Sum(nil)[:saltBytes]
}

// prefix returns the beginning of every current hash of users with that e-mail address.
func (p *passwords) prefix(email string) string {
	return phc{params: p.params, salt: p.salt(email)}.String()
}

// hash returns the stored form of a password of a user with that e-mail address.
func (p *passwords) hash(ctx context.Context, t *ticket, email, password string) (storedPassword, error) {
	h := phc{params: p.params, salt: p.salt(email)}
	var err error
	h.digest, err = t.hash(ctx, h.job(p.peppers.current, password, digestBytes))
	if err != nil {
		return storedPassword{}, err
	}
	return storedPassword{phc: h.String(), pepperID: p.peppers.current.ID}, nil
}

// hashLike hashes a password with the salt, parameters and pepper of a stored one.
func (p *passwords) hashLike(ctx context.Context, t *ticket, stored storedPassword, password string) (storedPassword, error) {
	h, err := parsePHC(stored.phc)
	if err != nil {
		return storedPassword{}, err
	}
	pepper, known := p.peppers.byID(stored.pepperID)
	if !known {
		return storedPassword{}, fmt.Errorf("pepper %q is missing from the secrets", stored.pepperID)
	}
	if h.digest, err = t.hash(ctx, h.job(pepper, password, len(h.digest))); err != nil {
		return storedPassword{}, err
	}
	return storedPassword{phc: h.String(), pepperID: stored.pepperID}, nil
}

// matches reports whether password is the stored one, and whether the stored hash is stale:
// its parameters, pepper or salt are not the current ones.
func (p *passwords) matches(ctx context.Context, t *ticket, stored storedPassword, email, password string) (ok, stale bool, err error) {
	given, err := p.hashLike(ctx, t, stored, password)
	if err != nil {
		return false, false, err
	}
	h, err := parsePHC(stored.phc)
	if err != nil {
		return false, false, err
	}
	ok = subtle.ConstantTimeCompare([]byte(given.phc), []byte(stored.phc)) == 1
	stale = h.params != p.params || len(h.digest) != digestBytes || stored.pepperID != p.peppers.current.ID ||
		!bytes.Equal(h.salt, p.salt(email))
	return ok, stale, nil
}

func (h phc) job(pepper Pepper, password string, length int) HashJob {
	return HashJob{Params: h.params, Input: pepper.mac(password), Salt: h.salt, Length: length}
}

// mac returns the input of Argon2: 32 bytes, which depend on every byte of the password.
func (p Pepper) mac(password string) []byte {
	mac := hmac.New(sha256.New, p.Key.Reveal())
	mac.Write([]byte(password))
	return mac.Sum(nil)
}

func checkPassword(password string) error {
	switch {
	case !utf8.ValidString(password):
		return &problem.Error{Code: CodePasswordMalformed, Message: "the password is not valid UTF-8", Field: "password"}
	case len(password) < MinPasswordBytes:
		return &problem.Error{
			Code: CodePasswordTooShort, Field: "password",
			Message: fmt.Sprintf("the password needs at least %d bytes", MinPasswordBytes),
		}
	case len(password) > MaxPasswordBytes:
		return &problem.Error{
			Code: CodePasswordTooLong, Field: "password",
			Message: fmt.Sprintf("the password may have at most %d bytes", MaxPasswordBytes),
		}
	}
	return nil
}
