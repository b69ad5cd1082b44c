package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

const (
	sqlAPIKeysOfUser = `
SELECT k.id, k.name, k.scopes, k.networks, k.created_at, c.expires_at, k.rotated_at, o.expires_at, k.revoked_at, k.last_used_at, k.last_address, k.limited
  FROM api_keys k
  LEFT JOIN LATERAL (SELECT expires_at FROM api_key_secrets s
       WHERE s.key_id = k.id AND s.replaced_at IS NULL) c ON true
  LEFT JOIN LATERAL (SELECT max(expires_at) AS expires_at FROM api_key_secrets s
       WHERE s.key_id = k.id AND s.replaced_at IS NOT NULL AND s.expires_at > $2 AND k.revoked_at IS NULL) o ON true
 WHERE k.user_id = $1`

	// The newest keys; those that are not revoked come first, so that they are always listed.
	sqlAPIKeys = sqlAPIKeysOfUser + `
 ORDER BY k.revoked_at IS NOT NULL, k.id DESC LIMIT $3`

	sqlAPIKey = sqlAPIKeysOfUser + ` AND k.id = $3`
)

// APIKeys returns the keys of the user, newest first, at most 200: those that are not revoked, and
// then the others.
func (s *Service) APIKeys(ctx context.Context, userID UserID) ([]APIKey, error) {
	rows, err := s.pool.Query(ctx, sqlAPIKeys, userID, s.now(), maxListedAPIKeys)
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, scanAPIKey)
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	return keys, nil
}

func findAPIKey(ctx context.Context, tx pgx.Tx, userID UserID, id uuid.UUID, now time.Time) (APIKey, error) {
	rows, err := tx.Query(ctx, sqlAPIKey, userID, now, id)
	if err != nil {
		return APIKey{}, fmt.Errorf("read API key: %w", err)
	}
	key, err := pgx.CollectExactlyOneRow(rows, scanAPIKey)
	if err != nil {
		return APIKey{}, fmt.Errorf("read API key: %w", err)
	}
	return key, nil
}

// scanAPIKey reads a row. A key whose secrets have been pruned expired when it was last heard of.
func scanAPIKey(row pgx.CollectableRow) (k APIKey, err error) {
	var (
		scopes  []string
		expires *time.Time
	)
	err = row.Scan(&k.ID, &k.Name, &scopes, &k.Networks, &k.CreatedAt, &expires, &k.RotatedAt, &k.OverlapEnds, &k.RevokedAt, &k.LastUsedAt, &k.LastAddress, &k.Limited)
	if err != nil {
		return APIKey{}, err
	}
	for _, name := range scopes {
		k.Scopes |= scopeNamed(name)
	}
	k.ExpiresAt = k.CreatedAt
	if expires != nil {
		k.ExpiresAt = *expires
	}
	return k, nil
}

func errKeyNotFound() *problem.Error {
	return &problem.Error{Code: CodeKeyNotFound, Message: "you have no such key"}
}

// orEmptyList returns an empty list for nil, which would be stored as NULL.
func orEmptyList[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

const sqlPruneAPIKeySecrets = `
DELETE FROM api_key_secrets
 WHERE secret_hash = ANY(ARRAY(
       SELECT secret_hash FROM api_key_secrets
        WHERE expires_at < $1
        ORDER BY expires_at LIMIT $2
          FOR UPDATE SKIP LOCKED))`
