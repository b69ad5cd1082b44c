package auth

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// passwordCheck is the result of comparing a password.
type passwordCheck int

const (
	passwordWrong passwordCheck = iota
	passwordRight
	passwordStale // right, but the stored hash must be replaced
)

// isKnown is true for a user u who has signed in from the address, or on the device, with the key
// $3; if $3 is NULL, for every user.
const isKnown = `($3::bytea IS NULL OR EXISTS (SELECT FROM known_addresses k WHERE k.user_id = u.id AND k.address = $3)
        OR EXISTS (SELECT FROM known_devices k WHERE k.user_id = u.id AND k.token_hash = $3))`

// The users that a log-in may refer to: $1 is the e-mail address and $2 the handle. If $3 is
// not NULL, only users who have signed in from that network address or on that device count. Closed
// users are as unknown.
const sqlCandidates = `
SELECT ` + userColumns + `, password_hash, pepper_id, password_changed_at
  FROM users u
 WHERE (email = nullif($1, '') OR handle = nullif($2, '')) AND status <> 'closed'
   AND ` + isKnown

const (
	sqlUserByHandle = sqlCandidates + ` LIMIT 1`

	// Users whose password has that hash under the current salt, parameters and pepper. A
	// second row shows that the hash is not unique.
	sqlUsersByHash = sqlCandidates + `
   AND password_hash = $4 AND pepper_id = $5
 ORDER BY email_verified_at, created_at LIMIT 2`

	// A user whose hash is stale: it does not begin with $4, or has another pepper. Users of
	// one e-mail address with stale hashes usually share a salt. The exception is the one
	// user from before salts depended on the address, who comes first.
	sqlStaleUser = sqlCandidates + `
   AND NOT (starts_with(password_hash, $4) AND pepper_id = $5)
 ORDER BY email_verified_at, created_at LIMIT 1`
)

// candidate is a user and their stored password.
type candidate struct {
	user   User
	stored storedPassword
}

// authenticate returns the user of a login whose password matches, and the stored password.
// A wrong password and an unknown user cost the same: one hash for a handle, two for an
// e-mail address. For a handle it also returns the user when the password is wrong.
func (s *Service) authenticate(ctx context.Context, t *ticket, l login, known throttleKey, password string) (User, storedPassword, passwordCheck, error) {
	p := s.keyring().passwords
	if l.email != "" {
		return s.authenticateByEmail(ctx, p, t, l, known, password)
	}
	found, err := s.candidates(ctx, sqlUserByHandle, l.email, l.handle, known.bytes())
	if err != nil {
		return User{}, storedPassword{}, passwordWrong, err
	}
	c := candidate{stored: p.dummy}
	if len(found) > 0 {
		c = found[0]
	}
	v, err := p.compare(ctx, t, c, password)
	return c.user, c.stored, v, err
}

// authenticateByEmail hashes the password twice: with the current salt, for all users of
// the address whose hash is current, and with the salt of a stale hash, or of the dummy if
// there is none. Only the user who has verified the address skips the second hash, so that
// the time reveals nothing about other users. If two users with the same unverified address
// have chosen the same password, both must log in by handle: the address does not tell
// them apart, and neither may get into the account of the other.
func (s *Service) authenticateByEmail(ctx context.Context, p *passwords, t *ticket, l login, known throttleKey, password string) (User, storedPassword, passwordCheck, error) {
	none := func(err error) (User, storedPassword, passwordCheck, error) {
		return User{}, storedPassword{}, passwordWrong, err
	}
	current, err := p.hash(ctx, t, l.email, password)
	if err != nil {
		return none(err)
	}
	found, err := s.candidates(ctx, sqlUsersByHash, l.email, "", known.bytes(), current.phc, current.pepperID)
	if err != nil {
		return none(err)
	}
	if len(found) > 0 && found[0].user.EmailVerified {
		return found[0].user, found[0].stored, passwordRight, nil
	}
	stale, err := s.candidates(ctx, sqlStaleUser, l.email, "", known.bytes(), p.prefix(l.email), current.pepperID)
	if err != nil {
		return none(err)
	}
	model := p.dummy
	if len(stale) > 0 {
		model = stale[0].stored
	}
	older, err := p.hashLike(ctx, t, model, password)
	if err != nil {
		return none(err)
	}
	foundStale, err := s.candidates(ctx, sqlUsersByHash, l.email, "", known.bytes(), older.phc, older.pepperID)
	switch {
	case err != nil:
		return none(err)
	case len(foundStale) > 0 && foundStale[0].user.EmailVerified, len(foundStale) == 1 && len(found) == 0:
		return foundStale[0].user, foundStale[0].stored, passwordStale, nil
	case len(found) == 1 && len(foundStale) == 0:
		return found[0].user, found[0].stored, passwordRight, nil
	}
	return none(nil)
}

func (p *passwords) compare(ctx context.Context, t *ticket, c candidate, password string) (passwordCheck, error) {
	right, stale, err := p.matches(ctx, t, c.stored, c.user.Email, password)
	switch {
	case err != nil || !right:
		return passwordWrong, err
	case stale:
		return passwordStale, nil
	}
	return passwordRight, nil
}

func (s *Service) candidates(ctx context.Context, sql string, args ...any) ([]candidate, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("find user: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c candidate, err error) {
		u := &c.user
		err = row.Scan(&u.ID, &u.Email, &u.Handle, &u.Name, &u.Role, &u.Status, &u.CreatedAt, &u.EmailVerified, &u.FindableByEmail,
			&c.stored.phc, &c.stored.pepperID, &c.stored.changedAt)
		u.CreatedAt = u.CreatedAt.UTC()
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("find user: %w", err)
	}
	return found, nil
}
