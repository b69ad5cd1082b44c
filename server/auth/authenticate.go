package auth

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// passwordCheck on a password.
type passwordCheck int

const (
	passwordWrong passwordCheck = iota
	passwordRight
	passwordStale // right, and to be hashed again
)

// The users whom a log-in may be about: $1 is the e-mail address and $2 the handle, and
// where $3 is not NULL only users who are known at that address count.
const sqlCandidates = `
SELECT id, email, handle, name, role, status, created_at, email_verified_at IS NOT NULL, findable_by_email, password_hash, pepper_id
  FROM users u
 WHERE (email = nullif($1, '') OR handle = nullif($2, ''))
   AND ($3::bytea IS NULL OR EXISTS (SELECT FROM known_addresses k WHERE k.user_id = u.id AND k.address = $3))`

const (
	sqlUserByHandle = sqlCandidates + ` LIMIT 1`

	// Whose password gives that hash under today's salt, parameters and pepper. A second
	// row is asked for to see whether there is one.
	sqlUsersByHash = sqlCandidates + `
   AND password_hash = $4 AND pepper_id = $5
 ORDER BY email_verified_at, created_at LIMIT 2`

	// One whose password was hashed otherwise; $4 begins what is stored today. As a rule
	// all of one e-mail address whose hashes are stale share the salt of theirs. The
	// exception is the one user from before salts depended on the address, who comes first.
	sqlStaleUser = sqlCandidates + `
   AND NOT (starts_with(password_hash, $4) AND pepper_id = $5)
 ORDER BY email_verified_at, created_at LIMIT 1`
)

// candidate is a user and the password that is stored for them.
type candidate struct {
	user   User
	stored storedPassword
}

// authenticate tells whose password that is, and returns that user with what is stored. A wrong
// password and an unknown user cost the same: one hash for a handle, two for an e-mail
// address. A user is returned with a wrong password too, where the login names just one.
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

// authenticateByEmail hashes the password once for all users of the address whose hash is of
// today's kind, and once for those whose hash is not, or for nobody. The second hash is
// left out for the user who has verified the address alone, so that the time tells
// nothing about others. Two users who have chosen one password under one address,
// unverified, sign in by handle: the address does not tell them apart, and a user must
// not be led into another's account.
func (s *Service) authenticateByEmail(ctx context.Context, p *passwords, t *ticket, l login, known throttleKey, password string) (User, storedPassword, passwordCheck, error) {
	none := func(err error) (User, storedPassword, passwordCheck, error) {
		return User{}, storedPassword{}, passwordWrong, err
	}
	today, err := p.hash(ctx, t, l.email, password)
	if err != nil {
		return none(err)
	}
	found, err := s.candidates(ctx, sqlUsersByHash, l.email, "", known.bytes(), today.phc, today.pepperID)
	if err != nil {
		return none(err)
	}
	if len(found) > 0 && found[0].user.EmailVerified {
		return found[0].user, found[0].stored, passwordRight, nil
	}
	stale, err := s.candidates(ctx, sqlStaleUser, l.email, "", known.bytes(), p.prefix(l.email), today.pepperID)
	if err != nil {
		return none(err)
	}
	like := p.dummy
	if len(stale) > 0 {
		like = stale[0].stored
	}
	once, err := p.hashLike(ctx, t, like, password)
	if err != nil {
		return none(err)
	}
	older, err := s.candidates(ctx, sqlUsersByHash, l.email, "", known.bytes(), once.phc, once.pepperID)
	switch {
	case err != nil:
		return none(err)
	case len(older) > 0 && older[0].user.EmailVerified, len(older) == 1 && len(found) == 0:
		return older[0].user, older[0].stored, passwordStale, nil
	case len(found) == 1 && len(older) == 0:
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
			&c.stored.phc, &c.stored.pepperID)
		u.CreatedAt = u.CreatedAt.UTC()
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("find user: %w", err)
	}
	return found, nil
}
