package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Argon2Params is the cost of one password hash (Argon2id, RFC 9106).
type Argon2Params struct {
	MemoryKiB uint32
	Time      uint32 // passes over the memory
	Threads   uint8
}

// DefaultArgon2Params is OWASP's recommendation: 19 MiB, two passes, one thread.
func DefaultArgon2Params() Argon2Params {
	return Argon2Params{MemoryKiB: 19 << 10, Time: 2, Threads: 1}
}

// check returns an error if a parameter is out of bounds. A mistyped setting or a manipulated
// row could otherwise require all of the memory.
func (a Argon2Params) check() error {
	switch {
	case a.Threads < 1 || a.Threads > 16:
		return fmt.Errorf("argon2: %d threads", a.Threads)
	case a.Time < 1 || a.Time > 64:
		return fmt.Errorf("argon2: %d passes", a.Time)
	case a.MemoryKiB < 8*uint32(a.Threads) || a.MemoryKiB > 1<<20:
		return fmt.Errorf("argon2: %d KiB of memory", a.MemoryKiB)
	}
	return nil
}

// phc is a hash in the PHC string format:
//
//	$argon2id$v=19$m=19456,t=2,p=1$salt$digest      (base64 without padding)
type phc struct {
	params Argon2Params
	salt   []byte
	digest []byte
}

func (h phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, h.params.MemoryKiB, h.params.Time, h.params.Threads,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.digest))
}

// parsePHC parses the result of String. Its errors do not contain the hash.
func parsePHC(text string) (phc, error) {
	fields := strings.Split(text, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, errors.New("stored password is not an Argon2id hash")
	}
	var h phc
	_, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &h.params.MemoryKiB, &h.params.Time, &h.params.Threads)
	if err == nil {
		err = h.params.check()
	}
	if err != nil {
		return phc{}, errors.New("stored password has bad parameters")
	}
	strict := base64.RawStdEncoding.Strict()
	if h.salt, err = strict.DecodeString(fields[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return phc{}, errors.New("stored password has a bad salt")
	}
	if h.digest, err = strict.DecodeString(fields[5]); err != nil || len(h.digest) < 16 || len(h.digest) > 64 {
		return phc{}, errors.New("stored password has a bad digest")
	}
	if h.String() != text { // one spelling only: no trailing junk, signs or leading zeros
		return phc{}, errors.New("stored password is not in canonical form")
	}
	return h, nil
}
