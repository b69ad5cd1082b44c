package auth

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
)

// Secrets is what a daemon must keep to itself between two starts. In both
// lists the first is the current one and the others are still accepted.
type Secrets struct {
	SigningKeys []Secret // Ed25519 seeds, 32 bytes (RFC 8032)
	PepperKeys  []Pepper

	BankCallback Secret // key of the HMAC on the bank's callbacks
	BankToken    Secret // what Kizo shows the bank
}

// LogValue, Format and MarshalJSON show nothing but how many there are.
func (s Secrets) LogValue() slog.Value { return slog.StringValue(s.String()) }

func (s Secrets) String() string {
	return fmt.Sprintf("auth.Secrets(%d signing keys, %d peppers, %s)",
		len(s.SigningKeys), len(s.PepperKeys), redacted)
}

// GoString redacts %#v.
func (s Secrets) GoString() string { return s.String() }

// Format redacts every verb of fmt.
func (s Secrets) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalJSON redacts: the file has a type of its own.
func (s Secrets) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// Keys returns the signing keys, ready for [Config].
func (s Secrets) Keys() (*Keys, error) {
	if len(s.SigningKeys) == 0 {
		return nil, errors.New("auth: no signing key")
	}
	var pairs []ed25519.PrivateKey
	for _, seed := range s.SigningKeys {
		if seed.Len() != ed25519.SeedSize {
			return nil, fmt.Errorf("auth: a signing key has %d bytes, not %d", seed.Len(), ed25519.SeedSize)
		}
		pairs = append(pairs, ed25519.NewKeyFromSeed(seed.Reveal()))
	}
	var older []ed25519.PublicKey
	for _, pair := range pairs[1:] {
		older = append(older, pair.Public().(ed25519.PublicKey))
	}
	return NewKeys(pairs[0], older...)
}

// Peppers returns the peppers, ready for [Config].
func (s Secrets) Peppers() (Peppers, error) {
	if len(s.PepperKeys) == 0 {
		return Peppers{}, errors.New("auth: no pepper")
	}
	return NewPeppers(s.PepperKeys[0], s.PepperKeys[1:]...)
}

// InUse returns the ids of the key that signs and the pepper that hashes; "" where s
// lacks one.
func (s Secrets) InUse() (signingKey, pepper string) {
	if keys, err := s.Keys(); err == nil {
		signingKey = keys.KeyID()
	}
	if len(s.PepperKeys) > 0 {
		pepper = s.PepperKeys[0].ID
	}
	return signingKey, pepper
}

// LoadSecrets reads the secrets file at path. A missing file is an error that wraps
// [fs.ErrNotExist]. A file that others may read, a symbolic link, and a file in a
// directory that others may write are refused.
func LoadSecrets(path string) (Secrets, error) {
	stored, err := readSecrets(path)
	if err != nil {
		return Secrets{}, err
	}
	return stored.secrets(), nil
}

// CreateSecrets writes new secrets to path: mode 0600, in a directory of mode 0700
// if that does not exist either. An existing file is left alone; the error then
// wraps [fs.ErrExist].
func CreateSecrets(path string) error {
	if err := createSecrets(path); err != nil {
		return fmt.Errorf("auth: create the secrets file %s: %w", path, err)
	}
	return nil
}

// LoadOrCreateSecrets reads the secrets file at path and creates it first if there
// is none. Only `kizod dev` and tests may do that: where several hosts share a
// database, a file that one of them creates locks out the users of the others.
// Processes that start together end up with the same file.
func LoadOrCreateSecrets(path string) (Secrets, error) {
	secrets, err := LoadSecrets(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secrets, err
	}
	if err := CreateSecrets(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return Secrets{}, err
	}
	return LoadSecrets(path)
}

func freshSecrets() secretsFile {
	return secretsFile{
		Version:      secretsVersion,
		SigningKeys:  [][]byte{randomSecret().Reveal()},
		Peppers:      []pepperFile{{ID: newPepperID(), Key: randomSecret().Reveal()}},
		BankCallback: randomSecret().Reveal(),
		BankToken:    randomSecret().Reveal(),
	}
}

// check refuses a file that was cut short or edited badly before anything is
// signed or hashed with it.
func (s Secrets) check() error {
	if _, err := s.Keys(); err != nil {
		return err
	}
	if _, err := s.Peppers(); err != nil {
		return err
	}
	if s.BankCallback.Len() < minSecretBytes || s.BankToken.Len() < minSecretBytes {
		return fmt.Errorf("auth: a secret of the bank has fewer than %d bytes", minSecretBytes)
	}
	return nil
}
