package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"unicode/utf8"

	"github.com/JDevAman/kizo/server/problem"
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

// passwords hashes and compares, inside the bulkhead.
type passwords struct {
	peppers Peppers
	params  Argon2Params
	dummy   storedPassword // compared with when there is no such user
}

func newPasswords(peppers Peppers, params Argon2Params) *passwords {
	p := &passwords{peppers: peppers, params: params}
	// A random digest: no password gives it, and it costs nothing to make.
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

// salt is the same for all who have signed up with an e-mail address. As long as nobody
// has verified it, there may be several, and a log-in by that address must tell by the
// password who of them it is, with one hash however many they are. It depends on the
// pepper, so it cannot be computed in advance.
func (p *passwords) salt(email string) []byte {
	mac := hmac.New(sha256.New, p.peppers.current.Key.Reveal())
	mac.Write([]byte("kizo password salt\x00" + email))
	return mac.Sum(nil)[:saltBytes]
}

// prefix is how all that is stored today for users of that e-mail address begins.
func (p *passwords) prefix(email string) string {
	return phc{params: p.params, salt: p.salt(email)}.String()
}

// hash returns what to store for the password of a user with that e-mail address.
func (p *passwords) hash(ctx context.Context, t *ticket, email, password string) (storedPassword, error) {
	h := phc{params: p.params, salt: p.salt(email)}
	var err error
	h.digest, err = t.hash(ctx, h.job(p.peppers.current, password, digestBytes))
	if err != nil {
		return storedPassword{}, err
	}
	return storedPassword{phc: h.String(), pepperID: p.peppers.current.ID}, nil
}

// hashLike returns what would be stored for password with the salt, parameters and
// pepper of another.
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

// matches tells whether password is the stored one, and whether what is stored is
// stale: hashed under other parameters, an older pepper or another salt than today's.
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
