package auth

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Keys signs access tokens with one Ed25519 key, and verifies them with that key and older
// ones. Safe for concurrent use.
type Keys struct {
	current Secret // Ed25519 private key
	kid     string
	ids     []string // of all keys; the first one signs
	known   map[string]ed25519.PublicKey
	jwks    []byte
}

// NewKeys returns a set that signs with the current key. A retired key must stay among the
// older ones for at least the lifetime of an access token.
func NewKeys(current ed25519.PrivateKey, older ...ed25519.PublicKey) (*Keys, error) {
	if len(current) != ed25519.PrivateKeySize {
		return nil, errors.New("auth: the signing key is not an Ed25519 private key")
	}
	all := append([]ed25519.PublicKey{current.Public().(ed25519.PublicKey)}, older...)
	keys := &Keys{current: NewSecret(current), kid: Thumbprint(all[0]), known: map[string]ed25519.PublicKey{}}
	set := struct {
		Keys []jwk `json:"keys"`
	}{}
	for _, public := range all {
		if len(public) != ed25519.PublicKeySize {
			return nil, errors.New("auth: a verification key is not an Ed25519 public key")
		}
		kid := Thumbprint(public)
		if _, twice := keys.known[kid]; twice {
			return nil, fmt.Errorf("auth: key %s is given twice", kid)
		}
		keys.known[kid] = public
		keys.ids = append(keys.ids, kid)
		set.Keys = append(set.Keys, jwk{
			Crv: "Ed25519", Kty: "OKP", X: base64.RawURLEncoding.EncodeToString(public),
			Kid: kid, Alg: algorithm, Use: "sig",
		})
	}
	var err error
	keys.jwks, err = json.Marshal(set)
	return keys, err
}

type jwk struct {
	Crv string `json:"crv"`
	Kty string `json:"kty"`
	X   string `json:"x"`
	Kid string `json:"kid,omitempty"`
	Alg string `json:"alg,omitempty"`
	Use string `json:"use,omitempty"`
}

// Thumbprint returns the id of a key: the RFC 7638 thumbprint of an OKP key (RFC 8037,
// appendix A.3) in base64url.
func Thumbprint(public ed25519.PublicKey) string {
	// The required members in lexical order are the first three fields of jwk.
	canonical, err := json.Marshal(jwk{Crv: "Ed25519", Kty: "OKP", X: base64.RawURLEncoding.EncodeToString(public)})
	if err != nil {
		panic(err) // three strings always marshal
	}
	sum := sha256.Sum256(canonical)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// JWKS returns the public keys as a JSON Web Key Set (RFC 7517).
func (k *Keys) JWKS() []byte { return append([]byte(nil), k.jwks...) }

// KeyID returns the id of the key that signs.
func (k *Keys) KeyID() string { return k.kid }

func (k *Keys) signer() ed25519.PrivateKey { return k.current.Reveal() }

// Format prints only the id of the key that signs.
func (k Keys) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "auth.Keys(%s)", k.kid) }
