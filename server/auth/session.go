package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Tokens contains the tokens of a session. Formatting it does not show them.
type Tokens struct {
	AccessToken  string
	RefreshToken string
	ExpiresIn    time.Duration // remaining life of the access token
	SessionID    uuid.UUID
	SessionEnds  time.Time // when the refresh token expires
	DeviceToken  string    // for a new device to keep, and to send with later log-ins; empty if the device is known
}

// Format omits the tokens for every verb of fmt.
func (t Tokens) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.Tokens(session %s, %s)", t.SessionID, redacted)
}

// LogValue omits the tokens from logs.
func (t Tokens) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }

// Session is one log-in of a user, on one client.
type Session struct {
	ID         uuid.UUID
	CreatedAt  time.Time
	LastUsedAt time.Time // time of the log-in or of the last refresh
	ExpiresAt  time.Time // unless it is used before
	Client     string    // user agent, cleaned, at most 120 characters
	Address    string    // IP address, or empty
}

// refreshPrefix lets secret scanners recognize refresh tokens in logs and repositories.
const refreshPrefix = "kizo_rt_"

func newRefreshToken() (token string, hash []byte) {
	secret := randomBytes(32)
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(secret), hashRefresh(secret)
}

// hashRefresh hashes a refresh token. It needs neither salt nor stretching, because the secret
// is 32 random bytes.
func hashRefresh(secret []byte) []byte {
	sum := sha256.Sum256(secret)
	return sum[:]
}

func parseRefreshToken(token string) (hash []byte, ok bool) {
	secret, ok := parseSecret(refreshPrefix, token)
	if !ok {
		return nil, false
	}
	return hashRefresh(secret), true
}

// FOR SHARE prevents a suspension or a change of the password between the check and the insert:
// this statement waits for a concurrent Suspend or ChangePassword, or that one waits for it.
const sqlOpenSession = `
INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, client, address, stepped_up_at)
SELECT $1::uuid, id, $3::timestamptz, $3::timestamptz, $4::timestamptz, $5::text, $6::text, CASE WHEN $8::bool THEN $3::timestamptz END
  FROM users
 WHERE id = $2 AND status = 'active' AND password_changed_at IS NOT DISTINCT FROM $7
   FOR SHARE`

const sqlIsActive = `SELECT EXISTS (SELECT FROM users WHERE id = $1 AND status = 'active')`

const sqlInsertRefreshToken = `
INSERT INTO refresh_tokens (token_hash, session_id, issued_at, expires_at)
VALUES ($1, $2, $3, $4)`

// openSession opens a session for an active user. It refuses if the password was changed after it
// was compared, which passwordChangedAt tells. withFactor says that the user has given a code
// of the second factor, which is a step-up.
func (s *Service) openSession(ctx context.Context, tx pgx.Tx, user User, client Client, passwordChangedAt *time.Time, withFactor bool) (Tokens, error) {
	now, id := s.now(), newID()
	ends := now.Add(s.sessionLifetime)
	client = client.clean()
	tag, err := tx.Exec(ctx, sqlOpenSession, id, user.ID, now, ends, client.UserAgent, client.Address, passwordChangedAt, withFactor)
	if err != nil {
		return Tokens{}, fmt.Errorf("open session: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return Tokens{}, whyNotOpened(ctx, tx, user.ID)
	}
	return s.issue(ctx, tx, accessToken{userID: user.ID, sessionID: id}, now, ends)
}

// whyNotOpened returns the refusal for a session that could not be opened.
func whyNotOpened(ctx context.Context, tx pgx.Tx, userID UserID) error {
	var active bool
	if err := tx.QueryRow(ctx, sqlIsActive, userID).Scan(&active); err != nil {
		return fmt.Errorf("read the status of the user: %w", err)
	}
	if !active {
		return errSuspended()
	}
	return errInvalidCredentials() // the password that was compared is no longer that of the user
}

// issue creates the next pair of tokens of a session that ends at ends. The access token
// expires no later than the session.
func (s *Service) issue(ctx context.Context, tx pgx.Tx, subject accessToken, now, ends time.Time) (Tokens, error) {
	life := min(s.accessTTL, ends.Sub(now))
	access, err := s.keyring().tokens.sign(subject, now, now.Add(life))
	if err != nil {
		return Tokens{}, err
	}
	refresh, hash := newRefreshToken()
	if _, err := tx.Exec(ctx, sqlInsertRefreshToken, hash, subject.sessionID, now, ends); err != nil {
		return Tokens{}, fmt.Errorf("store refresh token: %w", err)
	}
	return Tokens{
		AccessToken: access, RefreshToken: refresh, ExpiresIn: life,
		SessionID: subject.sessionID, SessionEnds: ends,
	}, nil
}

const sqlSessions = `
SELECT id, created_at, last_used_at, least(expires_at, last_used_at + $3::interval), client, address
  FROM sessions
 WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND last_used_at > $2 - $3::interval
 ORDER BY id DESC
 LIMIT 100`

// Sessions returns the open sessions of the user, newest first, at most 100.
func (s *Service) Sessions(ctx context.Context, userID UserID) ([]Session, error) {
	rows, err := s.pool.Query(ctx, sqlSessions, userID, s.now(), s.sessionIdle)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	sessions, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Session])
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	for i := range sessions {
		sessions[i].inUTC()
	}
	return sessions, nil
}

func (s *Session) inUTC() {
	s.CreatedAt, s.LastUsedAt, s.ExpiresAt = s.CreatedAt.UTC(), s.LastUsedAt.UTC(), s.ExpiresAt.UTC()
}
