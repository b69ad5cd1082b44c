// Package apikey makes and recognizes the secrets of API keys:
//
//	kizo_live_ 43 characters of 0-9, A-Z, a-z   6 characters
//	▲          ▲ 256 random bits                ▲ CRC-32 of everything before it
//	for secret scanners
//
// Most callers need [New] and [Check]. The checksum lets the command line report a key that was
// copied incompletely, and lets a scanner tell a leaked key from a text that looks like one,
// without a request to a server. It protects nothing: only the server knows which keys are valid.
//
// The package imports nothing of Kizo.
package apikey

import (
	"crypto/rand"
	"errors"
	"hash/crc32"
	"regexp"
	"strings"
)

// Prefix begins every key.
const Prefix = "kizo_live_"

const (
	digits      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	secretChars = 43 // 62^43 > 2^256
	sumChars    = 6  // 62^6 > 2^32

	// Length is the number of characters of a key, all of them ASCII.
	Length = len(Prefix) + secretChars + sumChars
)

// ErrDamaged means that a text is not a whole and unchanged key.
var ErrDamaged = errors.New("it is not a whole API key: a key is " + Prefix + " and 49 letters and digits, and its last six are a checksum")

// New returns a new key. It panics if the system has no random numbers.
func New() string {
	key := make([]byte, 0, Length)
	key = append(key, Prefix...)
	random := make([]byte, 2*secretChars)
	for len(key) < len(Prefix)+secretChars {
		_, _ = rand.Read(random) // never fails: crypto/rand ends the program instead
		for _, b := range random {
			// The largest multiple of 62 in a byte: without this, some digits would be likelier.
			if b < 4*62 && len(key) < len(Prefix)+secretChars {
				key = append(key, digits[b%62])
			}
		}
	}
	return string(append(key, checksum(string(key))...))
}

// Is reports whether a text claims to be a key: whether it has the prefix.
func Is(text string) bool { return strings.HasPrefix(text, Prefix) }

// Check returns [ErrDamaged] unless the text has the form and the checksum of a key.
func Check(text string) error {
	if len(text) != Length || !Is(text) || !alphanumeric(text[len(Prefix):]) {
		return ErrDamaged
	}
	end := len(text) - sumChars
	if checksum(text[:end]) != text[end:] {
		return ErrDamaged
	}
	return nil
}

var form = regexp.MustCompile(Prefix + `[0-9A-Za-z]{49}`)

// Find returns the keys in a text, such as a log or a file of a repository, in their order. Texts
// that only look like keys are not returned.
func Find(text string) []string {
	var keys []string
	for _, found := range form.FindAllString(text, -1) {
		if Check(found) == nil {
			keys = append(keys, found)
		}
	}
	return keys
}

func alphanumeric(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// checksum returns the CRC-32 (IEEE) of a text in base 62.
func checksum(text string) string {
	sum := crc32.ChecksumIEEE([]byte(text))
	var encoded [sumChars]byte
	for i := range encoded {
		encoded[sumChars-1-i] = digits[sum%62]
		sum /= 62
	}
	return string(encoded[:])
}
