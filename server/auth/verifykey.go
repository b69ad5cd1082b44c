package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/apikey"
	"github.com/JDevAman/kizo/server/problem"
)

// apiKeySecret is what VerifyAPIKey needs to know about a secret. It is valid together with the
// apiKeyState of the same rotation.
type apiKeySecret struct {
	keyID   uuid.UUID
	expires time.Time
	rotated time.Time // of the key; the zero time before the first rotation
}

// apiKeyState is what VerifyAPIKey needs to know about a key and its user.
type apiKeyState struct {
	userID   UserID
	scopes   Scopes
	networks []netip.Prefix
	rotated  time.Time
	revoked  bool
	limited  bool
	handle   string
	role     Role
	status   Status
	factor   bool // of an operator
}

type foundAPIKey struct {
	secret apiKeySecret
	key    *apiKeyState
}

// VerifyAPIKey returns the user and the scopes of a key. It observes every revocation, rotation and
// suspension that has returned, in any process. It needs no query while the key is in the session
// cache. The caller must call [Service.UseAPIKey] before it serves the request.
func (s *Service) VerifyAPIKey(ctx context.Context, key string) (Principal, error) {
	if err := apikey.Check(key); err != nil {
		return Principal{}, errKeyInvalid(err)
	}
	found, ok, err := s.apiKey(ctx, hashAPIKey(key))
	if err != nil {
		return Principal{}, fmt.Errorf("verify API key: %w", err)
	}
	switch {
	case !ok:
		return Principal{}, errKeyInvalid(errors.New("no such key"))
	case found.key.status == StatusSuspended:
		return Principal{}, errSuspended()
	case found.key.revoked || found.key.status != StatusActive:
		return Principal{}, s.refuseKey(ctx, found, &problem.Error{Code: CodeKeyRevoked, Message: "the API key was revoked"}, Client{})
	case !s.now().Before(found.secret.expires):
		return Principal{}, s.refuseKey(ctx, found, &problem.Error{
			Code: CodeKeyExpired, Message: "the API key has expired: rotate it, or create another one",
		}, Client{})
	}
	return Principal{
		UserID: found.key.userID, KeyID: found.secret.keyID, Scopes: found.key.scopes,
		Handle: found.key.handle, Role: found.key.role, SecondFactor: found.key.factor, key: found.key,
	}, nil
}

// UseAPIKey checks that the key of a principal may be used from the address of the client, and
// notes the use. For a session it does nothing.
func (s *Service) UseAPIKey(ctx context.Context, p Principal, client Client) error {
	if p.key == nil {
		return nil
	}
	if !allowsAddress(p.key.networks, client.Address) {
		return s.refuseKey(ctx, foundAPIKey{apiKeySecret{keyID: p.KeyID}, p.key}, &problem.Error{
			Code: CodeKeyNetworkRefused, Message: "the API key does not work from this address",
		}, client)
	}
	s.keyUses.note(p.KeyID, s.now(), client)
	return nil
}

func allowsAddress(networks []netip.Prefix, address string) bool {
	if len(networks) == 0 {
		return true
	}
	from, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	from = from.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(from) })
}

// refuseKey logs and records the refused use of a key that exists.
func (s *Service) refuseKey(ctx context.Context, found foundAPIKey, refusal *problem.Error, client Client) error {
	s.logKey(ctx, EventKeyRefused, found.key.userID, found.secret.keyID, append(clientAttrs(client), slog.String("code", string(refusal.Code)))...)
	s.keyUses.noteRefusal(found.secret.keyID, string(refusal.Code), s.now(), client)
	return refusal
}

// apiKey returns the key with that secret from the cache or the database.
func (s *Service) apiKey(ctx context.Context, hash [sha256.Size]byte) (foundAPIKey, bool, error) {
	if s.cache.valid() {
		if secret, ok := s.cache.secrets.Get(hash); ok {
			if key, ok := s.cache.keys.Get(secret.keyID); ok && key.rotated.Equal(secret.rotated) {
				return foundAPIKey{secret, key}, true, nil
			}
		}
	}
	keep := s.cache.beginLookUp()
	found, ok, err := s.keyLookUps.get(ctx, hash)
	if err == nil && ok && !found.key.revoked {
		keep(func() {
			s.cache.keys.Put(found.secret.keyID, found.key)
			s.cache.secrets.Put(hash, found.secret)
		})
	}
	return found, ok, err
}

// operatorHasFactor is asked of operators only, so that other users cost no look-up.
const operatorHasFactor = `u.role = 'operator' AND COALESCE((SELECT f.confirmed_at IS NOT NULL FROM second_factors f WHERE f.user_id = u.id), false)`

const sqlLookUpAPIKeys = `
SELECT s.secret_hash, k.id, s.expires_at, COALESCE(k.rotated_at, '0001-01-01 00:00:00+00'), k.user_id, k.scopes, k.networks, k.revoked_at IS NOT NULL, k.limited,
       u.handle, u.role, u.status, ` + operatorHasFactor + `
  FROM api_key_secrets s JOIN api_keys k ON k.id = s.key_id JOIN users u ON u.id = k.user_id
 WHERE s.secret_hash = ANY($1)`

func (s *Service) lookUpAPIKeys(ctx context.Context, hashes [][sha256.Size]byte) (map[[sha256.Size]byte]foundAPIKey, error) {
	raw := make([][]byte, len(hashes))
	for i := range hashes {
		raw[i] = hashes[i][:]
	}
	rows, err := s.pool.Query(ctx, sqlLookUpAPIKeys, raw)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[[sha256.Size]byte]foundAPIKey, len(hashes))
	for rows.Next() {
		var (
			hash   []byte
			scopes []string
			secret apiKeySecret
			key    apiKeyState
		)
		if err := rows.Scan(&hash, &secret.keyID, &secret.expires, &secret.rotated, (*[16]byte)(&key.userID), &scopes, &key.networks, &key.revoked, &key.limited,
			&key.handle, &key.role, &key.status, &key.factor); err != nil {
			return nil, err
		}
		for _, name := range scopes {
			key.scopes |= scopeNamed(name)
		}
		key.rotated = secret.rotated
		found[[sha256.Size]byte(hash)] = foundAPIKey{secret, &key}
	}
	return found, rows.Err()
}

// errKeyInvalid does not say whether a key is malformed or unknown.
func errKeyInvalid(cause error) *problem.Error {
	return &problem.Error{Code: CodeTokenInvalid, Message: "the API key is not valid", Cause: cause}
}
