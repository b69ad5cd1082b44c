package auth

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	sqlRevokeAPIKey = `
WITH revoked AS (
UPDATE api_keys SET revoked_at = greatest(created_at, $3)
 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL
RETURNING user_id, name
)
INSERT INTO security_events (at, user_id, event, client, address, detail)
SELECT $3, user_id, 'key_revoked', $4, $5, name FROM revoked`

	sqlRevokeAPIKeys = `
WITH revoked AS (
UPDATE api_keys SET revoked_at = greatest(created_at, $2)
 WHERE user_id = $1 AND revoked_at IS NULL
RETURNING user_id, name
)
INSERT INTO security_events (at, user_id, event, detail)
SELECT $2, user_id, 'key_revoked', name || ', ' || $3 FROM revoked`
)

// RevokeAPIKey ends a key of the user. It returns after the lease, when no process accepts the key
// any more. Revoking a revoked key is an error with the code key_not_found, as for a key of another
// user and an unknown one.
func (s *Service) RevokeAPIKey(ctx context.Context, userID UserID, id uuid.UUID, client Client) error {
	client = client.clean()
	tag, err := s.pool.Exec(ctx, sqlRevokeAPIKey, id, userID, s.now(), client.UserAgent, client.Address)
	if err != nil {
		return fmt.Errorf("revoke API key: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return errKeyNotFound()
	}
	s.logKey(ctx, EventKeyRevoked, userID, id, clientAttrs(client)...)
	s.waitForCacheExpiry()
	return nil
}

// RevokeAPIKeys ends all keys of a user, for an operator. It returns after the lease.
func (s *Service) RevokeAPIKeys(ctx context.Context, userID UserID) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// A transaction that creates a key holds the row of the user, so that the second statement
		// sees every key that was created before.
		if err := lockUser(ctx, tx, userID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlRevokeAPIKeys, userID, s.now(), "by an operator"); err != nil {
			return fmt.Errorf("revoke API keys: %w", err)
		}
		return nil
	})
	if err == nil {
		s.events.write(ctx, EventKeyRevoked, slog.String("user_id", userID.String()), slog.String("key", "all"))
		s.waitForCacheExpiry()
	}
	return err
}
