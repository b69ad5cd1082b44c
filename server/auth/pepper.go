package auth

import (
	"encoding/hex"
	"fmt"
	"regexp"
)

// Pepper is the key of the HMAC that is applied to a password before Argon2. It is not in the
// database, so that passwords cannot be guessed from a stolen database alone.
type Pepper struct {
	ID  string // stored beside each hash; [a-z0-9_-]{1,32}
	Key Secret // 32 bytes or more
}

// Peppers contains the current pepper and older ones that still verify. An old pepper may be
// removed only when no row of users refers to it: passwords under it cannot be checked
// without it.
type Peppers struct {
	current Pepper
	older   []Pepper
}

var pepperID = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// NewPeppers returns a set that hashes with current and verifies with all of them.
func NewPeppers(current Pepper, older ...Pepper) (Peppers, error) {
	seen := map[string]bool{}
	for _, p := range append([]Pepper{current}, older...) {
		switch {
		case !pepperID.MatchString(p.ID):
			return Peppers{}, fmt.Errorf("auth: pepper id %q is malformed", p.ID)
		case seen[p.ID]:
			return Peppers{}, fmt.Errorf("auth: pepper %q is given twice", p.ID)
		case p.Key.Len() < minSecretBytes:
			return Peppers{}, fmt.Errorf("auth: pepper %q has fewer than %d bytes", p.ID, minSecretBytes)
		}
		seen[p.ID] = true
	}
	return Peppers{current: current, older: append([]Pepper(nil), older...)}, nil
}

func (p Peppers) byID(id string) (Pepper, bool) {
	if p.current.ID == id {
		return p.current, true
	}
	for _, old := range p.older {
		if old.ID == id {
			return old, true
		}
	}
	return Pepper{}, false
}

func newPepperID() string { return "p" + hex.EncodeToString(randomBytes(6)) }
