package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/apikey"
	"github.com/JDevAman/kizo/server/pgerr"
	"github.com/JDevAman/kizo/server/problem"
)

// An API key is a credential of a user for scripts. It has a name, scopes, perhaps the networks
// that it works from, and one or two secrets:
//
//	CreateAPIKey ─► secret 1 ──────────────────► expires
//	RotateAPIKey ─► secret 1 ── overlap ─► ends
//	                secret 2 ──────────────────► expires
//	RevokeAPIKey ─► every secret ends
//
// Only the SHA-256 of a secret is stored: it has 256 random bits, so that neither a salt nor a slow
// hash would add anything. Creating and rotating a key needs the password, because a key outlives
// the session; a key itself may do neither.
const (
	// DefaultAPIKeyLife and MaxAPIKeyLife are how long a secret is valid.
	DefaultAPIKeyLife = 90 * 24 * time.Hour
	MaxAPIKeyLife     = 366 * 24 * time.Hour

	// DefaultAPIKeyOverlap and MaxAPIKeyOverlap are how long the earlier secret of a rotated key
	// stays valid.
	DefaultAPIKeyOverlap = 24 * time.Hour
	MaxAPIKeyOverlap     = 7 * 24 * time.Hour

	maxAPIKeys        = 50 // keys of a user that are not revoked
	maxAPIKeyNetworks = 20
	maxListedAPIKeys  = 200
)

// APIKey describes a key, without its secrets.
type APIKey struct {
	ID          uuid.UUID
	Name        string
	Scopes      Scopes
	Networks    []netip.Prefix // empty: any address
	CreatedAt   time.Time
	ExpiresAt   time.Time  // of the current secret
	RotatedAt   *time.Time // when the current secret was made, if it is not the first
	OverlapEnds *time.Time // when the secret before the current one expires; nil if there is none
	RevokedAt   *time.Time
	LastUsedAt  *time.Time // to the minute
	LastAddress string     // IP address, or empty
	Limited     bool       // the ledger has spending limits for its id
}

// NewAPIKey asks for a key. Formatting it does not show the password.
type NewAPIKey struct {
	Name      string         // 1 to 60 letters, digits, dots, dashes and underscores; unique among the user's keys
	Scopes    Scopes         // at least one
	Networks  []netip.Prefix // at most 20; empty: any address
	Life      time.Duration  // DefaultAPIKeyLife if zero, at most MaxAPIKeyLife
	Password  string         // of the user
	SessionID uuid.UUID      // of the request
	OTP       string         // of the second factor; not needed within a step-up of the session
	Client    Client

	// StoreLimits stores the spending limits of the key under its id. It is called after the
	// password was confirmed, and before the key can be used. nil if the key has no limits.
	StoreLimits func(ctx context.Context, id uuid.UUID) error
	Limits      string // what they are, for the security event
}

// Format omits the password for every verb of fmt.
func (n NewAPIKey) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.NewAPIKey(%q, password %s)", n.Name, redacted)
}

// LogValue omits the password from logs.
func (n NewAPIKey) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(n)) }

// hashAPIKey hashes a whole key, with its prefix and its checksum.
func hashAPIKey(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

var apiKeyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$`)

func (n *NewAPIKey) check() error {
	if !apiKeyName.MatchString(n.Name) {
		return &problem.Error{
			Code: CodeNameMalformed, Field: "name",
			Message: "the name of a key is 1 to 60 letters, digits, dots, dashes and underscores, and begins with a letter or a digit",
		}
	}
	if n.Scopes == 0 || n.Scopes&^AnyScope != 0 {
		return errScopeUnknown()
	}
	if len(n.Networks) > maxAPIKeyNetworks {
		return &problem.Error{Code: CodeNetworkMalformed, Message: fmt.Sprintf("a key has at most %d networks", maxAPIKeyNetworks), Field: "networks"}
	}
	life, err := apiKeyLife(n.Life)
	n.Life = life
	return err
}

// describe returns the name of the key, and its limits if it has some.
func (n NewAPIKey) describe() string {
	if n.Limits == "" {
		return n.Name
	}
	return n.Name + ": " + n.Limits
}

func apiKeyLife(life time.Duration) (time.Duration, error) {
	if life == 0 {
		return DefaultAPIKeyLife, nil
	}
	if life < time.Second || life > MaxAPIKeyLife {
		return 0, &problem.Error{
			Code: CodeKeyLifeOutOfRange, Field: "expires_in",
			Message: fmt.Sprintf("a key expires after 1 second to %d days", int(MaxAPIKeyLife.Hours())/24),
		}
	}
	return life, nil
}

const (
	sqlCountAPIKeys = `SELECT count(*) FROM api_keys WHERE user_id = $1 AND revoked_at IS NULL`

	sqlInsertAPIKey = `
INSERT INTO api_keys (id, user_id, name, scopes, networks, created_at, limited)
VALUES ($1, $2, $3, $4, $5, $6, $7)`

	sqlInsertAPIKeySecret = `
INSERT INTO api_key_secrets (secret_hash, key_id, created_at, expires_at)
VALUES ($1, $2, $3, $4)`
)

// CreateAPIKey makes a key for a user and returns it with its secret, which cannot be read again.
func (s *Service) CreateAPIKey(ctx context.Context, userID UserID, n NewAPIKey) (secret string, _ APIKey, _ error) {
	if err := n.check(); err != nil {
		return "", APIKey{}, err
	}
	confirmed, err := s.confirmPassword(ctx, userID, n.Password, secondCheck{n.SessionID, n.OTP}, n.Client)
	if err != nil {
		return "", APIKey{}, err
	}
	now := s.now()
	key := APIKey{
		ID: newID(), Name: n.Name, Scopes: n.Scopes, Networks: n.Networks, CreatedAt: now, ExpiresAt: now.Add(n.Life), Limited: n.StoreLimits != nil,
	}
	if key.Limited {
		if err := n.StoreLimits(ctx, key.ID); err != nil {
			confirmed.giveBack(ctx)
			return "", APIKey{}, fmt.Errorf("store the limits of an API key: %w", err)
		}
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := confirmed.lockUser(ctx, tx, userID); err != nil {
			return err
		}
		if err := checkKeyCount(ctx, tx, userID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sqlInsertAPIKey, key.ID, userID, key.Name, key.Scopes.Names(), orEmptyList(key.Networks), now, key.Limited)
		if pgerr.ViolatedUnique(err) == "api_keys_name" {
			return &problem.Error{Code: CodeKeyNameTaken, Message: "you have a key with this name: revoke it, rotate it, or take another name", Field: "name"}
		}
		if err != nil {
			return fmt.Errorf("store API key: %w", err)
		}
		if secret, err = s.newSecret(ctx, tx, key.ID, now, key.ExpiresAt); err != nil {
			return err
		}
		return s.keyChanged(ctx, tx, EventKeyCreated, userID, n.describe(), n.Client, confirmed)
	})
	if err != nil {
		confirmed.failed(ctx, err)
		return "", APIKey{}, fmt.Errorf("create API key: %w", err)
	}
	s.logKey(ctx, EventKeyCreated, userID, key.ID, clientAttrs(n.Client)...)
	return secret, key, nil
}

// checkKeyCount refuses another key of a user who has too many. The caller has locked the user.
func checkKeyCount(ctx context.Context, tx pgx.Tx, userID UserID) error {
	var keys int
	if err := tx.QueryRow(ctx, sqlCountAPIKeys, userID).Scan(&keys); err != nil {
		return fmt.Errorf("count API keys: %w", err)
	}
	if keys >= maxAPIKeys {
		return &problem.Error{Code: CodeTooManyKeys, Message: fmt.Sprintf("you have %d keys: revoke those that you do not need", keys)}
	}
	return nil
}

// newSecret makes and stores a secret of a key.
func (s *Service) newSecret(ctx context.Context, tx pgx.Tx, key uuid.UUID, now, expires time.Time) (string, error) {
	secret := apikey.New()
	hash := hashAPIKey(secret)
	if _, err := tx.Exec(ctx, sqlInsertAPIKeySecret, hash[:], key, now, expires); err != nil {
		return "", fmt.Errorf("store the secret of an API key: %w", err)
	}
	return secret, nil
}

// keyChanged records a change of a key, and that its user knows the password, in the transaction of
// the change.
func (s *Service) keyChanged(ctx context.Context, tx pgx.Tx, event SecurityEvent, userID UserID, detail string, client Client, confirmed confirmation) error {
	if err := s.record(ctx, tx, event, userID, uuid.Nil, client, detail); err != nil {
		return err
	}
	return confirmed.right(ctx, tx)
}

func (s *Service) logKey(ctx context.Context, event SecurityEvent, userID UserID, key uuid.UUID, attrs ...slog.Attr) {
	s.events.write(ctx, event, append([]slog.Attr{slog.String("user_id", userID.String()), slog.String("key", key.String())}, attrs...)...)
}

// RotateAPIKeyInput asks for a new secret. Formatting it does not show the password.
type RotateAPIKeyInput struct {
	Life      time.Duration // of the new secret: DefaultAPIKeyLife if zero, at most MaxAPIKeyLife
	Overlap   time.Duration // for which the current secret stays valid: from 0 to MaxAPIKeyOverlap
	Password  string        // of the user
	SessionID uuid.UUID     // of the request
	OTP       string        // of the second factor; not needed within a step-up of the session
	Client    Client
}

// Format omits the password for every verb of fmt.
func (r RotateAPIKeyInput) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.RotateAPIKeyInput(%v, password %s)", r.Life, redacted)
}

// LogValue omits the password from logs.
func (r RotateAPIKeyInput) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(r)) }

const (
	sqlLockAPIKey = `
SELECT name FROM api_keys
 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL
   FOR NO KEY UPDATE`

	// The current secret ends after the overlap, and one before it now: two are valid at most.
	sqlReplaceSecrets = `
UPDATE api_key_secrets
   SET expires_at = least(expires_at, greatest(created_at, CASE WHEN replaced_at IS NULL THEN $3::timestamptz ELSE $2::timestamptz END)),
       replaced_at = COALESCE(replaced_at, $2::timestamptz)
 WHERE key_id = $1 AND (replaced_at IS NULL OR expires_at > $2::timestamptz)`

	// Each rotation has a time of its own, by which the session cache distinguishes them.
	sqlMarkRotated = `
UPDATE api_keys SET rotated_at = greatest(created_at, $2, rotated_at + interval '1 microsecond')
 WHERE id = $1`
)

// RotateAPIKey gives a key of the user a new secret, which it returns. The earlier one stays valid
// for the overlap. It returns after the lease, when no process accepts a secret that has ended. For
// a key of another user, as for an unknown one, the error has the code key_not_found.
func (s *Service) RotateAPIKey(ctx context.Context, userID UserID, id uuid.UUID, r RotateAPIKeyInput) (secret string, key APIKey, err error) {
	life, err := apiKeyLife(r.Life)
	if err != nil {
		return "", APIKey{}, err
	}
	if r.Overlap < 0 || r.Overlap > MaxAPIKeyOverlap {
		return "", APIKey{}, &problem.Error{
			Code: CodeKeyLifeOutOfRange, Field: "overlap",
			Message: fmt.Sprintf("the earlier secret stays valid for 0 seconds to %d days", int(MaxAPIKeyOverlap.Hours())/24),
		}
	}
	confirmed, err := s.confirmPassword(ctx, userID, r.Password, secondCheck{r.SessionID, r.OTP}, r.Client)
	if err != nil {
		return "", APIKey{}, err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := confirmed.lockUser(ctx, tx, userID); err != nil {
			return err
		}
		now := s.now()
		if secret, err = s.rotateSecret(ctx, tx, userID, id, now, now.Add(r.Overlap), now.Add(life)); err != nil {
			return err
		}
		if key, err = findAPIKey(ctx, tx, userID, id, now); err != nil {
			return err
		}
		return s.keyChanged(ctx, tx, EventKeyRotated, userID, key.Name, r.Client, confirmed)
	})
	if err != nil {
		confirmed.failed(ctx, err)
		return "", APIKey{}, fmt.Errorf("rotate API key: %w", err)
	}
	s.logKey(ctx, EventKeyRotated, userID, id, clientAttrs(r.Client)...)
	s.waitForCacheExpiry()
	return secret, key, nil
}

func (s *Service) rotateSecret(ctx context.Context, tx pgx.Tx, userID UserID, id uuid.UUID, now, overlapEnds, expires time.Time) (string, error) {
	var name string
	err := tx.QueryRow(ctx, sqlLockAPIKey, id, userID).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", errKeyNotFound()
	}
	if err != nil {
		return "", fmt.Errorf("lock API key: %w", err)
	}
	if _, err := tx.Exec(ctx, sqlReplaceSecrets, id, now, overlapEnds); err != nil {
		return "", fmt.Errorf("replace the secrets: %w", err)
	}
	if _, err := tx.Exec(ctx, sqlMarkRotated, id, now); err != nil {
		return "", fmt.Errorf("mark the API key: %w", err)
	}
	return s.newSecret(ctx, tx, id, now, expires)
}
