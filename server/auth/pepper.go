package auth

import (
	"encoding/hex"
	"fmt"
	"regexp"
)

// Pepper is a key that every password goes through before Argon2. It is kept
// outside the database, so that a stolen database alone cannot be cracked.
type Pepper struct {
	ID  string // stored beside each hash; [a-z0-9_-]{1,32}
	Key Secret // 32 bytes or more
}

// Peppers is the current pepper and those that still verify. Drop an old one
// only when no row of users names it: a password under it cannot be checked
// any more.
type Peppers struct {
	current Pepper
	older   []Pepper
}

var pepperID = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// NewPeppers returns a set that hashes with current and verifies with all.
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
