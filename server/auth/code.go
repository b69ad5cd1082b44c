package auth

import (
	"crypto/sha256"
	"strings"
)

// codeAlphabet is Crockford's Base32 (https://www.crockford.com/base32.html). Reset codes and
// recovery codes are written in it: 5 random bits a character, and 80 or more bits a code, so that
// the SHA-256 of a code needs neither salt nor stretching.
const codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newCode returns a random code of length characters, with a dash between groups of group.
func newCode(length, group int) string {
	var text strings.Builder
	for i, b := range randomBytes(length) {
		if i > 0 && i%group == 0 {
			text.WriteByte('-')
		}
		text.WriteByte(codeAlphabet[int(b)%len(codeAlphabet)]) // 32 divides 256: no bias
	}
	return text.String()
}

// asTyped replaces what readers of a code confuse, and removes what groups it.
var asTyped = strings.NewReplacer("O", "0", "I", "1", "L", "1", "-", "", " ", "", "\t", "")

// hashCode hashes a code as it was typed.
func hashCode(code string) [sha256.Size]byte {
	return sha256.Sum256([]byte(asTyped.Replace(strings.ToUpper(code))))
}
