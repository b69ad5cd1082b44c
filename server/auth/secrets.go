package auth

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
)

// Secrets are the secrets of kizod, which are stored in the secrets file. The first element of
// each list is the current one; the others are still accepted.
type Secrets struct {
	SigningKeys []Secret // Ed25519 seeds, 32 bytes (RFC 8032)
	PepperKeys  []Pepper

	BankCallback Secret // key of the HMAC of the bank's callbacks
	BankToken    Secret // authenticates Kizo to the bank
}

// LogValue logs only the number of keys.
func (s Secrets) LogValue() slog.Value { return slog.StringValue(s.String()) }

func (s Secrets) String() string {
	return fmt.Sprintf("auth.Secrets(%d signing keys, %d peppers, %s)",
		len(s.SigningKeys), len(s.PepperKeys), redacted)
}

// GoString redacts %#v.
func (s Secrets) GoString() string { return s.String() }

// Format redacts every verb of fmt.
func (s Secrets) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalJSON redacts the secrets. secretsFile is the type that stores them.
func (s Secrets) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// Keys returns the signing keys for a [Config].
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

// Peppers returns the peppers for a [Config].
func (s Secrets) Peppers() (Peppers, error) {
	if len(s.PepperKeys) == 0 {
		return Peppers{}, errors.New("auth: no pepper")
	}
	return NewPeppers(s.PepperKeys[0], s.PepperKeys[1:]...)
}

// InUse returns the ids of the key that signs and of the pepper that hashes; "" if s has none.
func (s Secrets) InUse() (signingKey, pepper string) {
	if keys, err := s.Keys(); err == nil {
		signingKey = keys.KeyID()
	}
	if len(s.PepperKeys) > 0 {
		pepper = s.PepperKeys[0].ID
	}
	return signingKey, pepper
}

// AuditKey is a key that signs audits of the books. It is derived from a signing key, so that it is
// rotated with it.
type AuditKey struct {
	ID  string // 16 hexadecimal digits, from which neither key can be computed
	Key Secret // 32 bytes
}

// AuditKeys returns the audit keys of all signing keys, that of the current one first.
func (s Secrets) AuditKeys() []AuditKey {
	keys := make([]AuditKey, len(s.SigningKeys))
	for i, seed := range s.SigningKeys {
		keys[i] = AuditKey{
			ID:  hex.EncodeToString(derive(seed, "kizo audit key id v1", 8)),
			Key: NewSecret(derive(seed, "kizo audit key v1", 32)),
		}
	}
	return keys
}

// derive returns n bytes of HKDF-SHA-256 (RFC 5869) without a salt.
func derive(from Secret, purpose string, n int) []byte {
	key, err := hkdf.Key(sha256.New, from.Reveal(), nil, purpose, n)
	if err != nil {
		panic(fmt.Sprintf("auth: derive %d bytes: %v", n, err)) // only for more than 255 hashes
	}
	return key
}

// LoadSecrets reads the secrets file at path. The error wraps [fs.ErrNotExist] if there is
// none. LoadSecrets refuses a file that other users may read, a symbolic link, and a file in
// a directory that other users may write to.
func LoadSecrets(path string) (Secrets, error) {
	stored, err := readSecrets(path)
	if err != nil {
		return Secrets{}, err
	}
	return stored.secrets(), nil
}

// CreateSecrets writes new secrets to path with mode 0600, and creates the directory with mode
// 0700 if it does not exist. It does not change an existing file: the error then wraps
// [fs.ErrExist].
func CreateSecrets(path string) error {
	if err := createSecrets(path); err != nil {
		return fmt.Errorf("auth: create the secrets file %s: %w", path, err)
	}
	return nil
}

// LoadOrCreateSecrets reads the secrets file at path, and creates it if there is none. Only
// `kizod dev` and tests may use it: if several hosts share a database, a file that one of
// them creates locks out the users of the others. Processes that start at the same time
// read the same file.
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

// check returns an error if the secrets are incomplete or malformed.
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
