package auth

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/failpoint"
)

// LogIn opens a session for the user of that e-mail address or handle (with or
// without the @). Of several users with one e-mail address it is the one whose password
// matches. Unknown user and wrong password get the same answer after the
// same work; only the right password learns that an account is suspended. Too many
// failures, or too many who sign in, are refused with a time to come back.
func (s *Service) LogIn(ctx context.Context, who, password string, client Client) (Tokens, User, error) {
	if len(password) > MaxPasswordBytes {
		return Tokens{}, User{}, errInvalidCredentials() // whoever it is: not worth a hash
	}
	user, attempt, err := s.checkLogin(ctx, who, password, client)
	if err != nil {
		s.logSignIn(ctx, user, who, client, err)
		return Tokens{}, User{}, fmt.Errorf("log in: %w", err)
	}
	var tokens Tokens
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if tokens, err = s.openSession(ctx, tx, user, client); err != nil {
			return err
		}
		if err := s.signedIn(ctx, tx, EventSignedIn, user.ID, tokens.SessionID, client); err != nil {
			return err
		}
		return attempt.right(ctx, tx)
	})
	if err != nil { // suspended meanwhile, or no database
		attempt.giveBack(ctx)
		return Tokens{}, User{}, fmt.Errorf("log in: %w", err)
	}
	_ = failpoint.Point("auth.logged_in")
	s.logSignIn(ctx, user, who, client, nil)
	return tokens, user, nil
}

// checkLogin returns the active user whose password that is. Its ticket is asked for
// before anything else, so that a log-in that finds no room has cost nothing.
func (s *Service) checkLogin(ctx context.Context, who, password string, client Client) (User, attempt, error) {
	ticket, err := s.hashQueue.enter()
	if err != nil {
		return User{}, attempt{}, err
	}
	defer ticket.leave()
	attempt, err := s.throttle.begin(ctx, who, client.Address)
	if err != nil {
		return User{}, attempt, err
	}
	user, stored, found, err := s.authenticate(ctx, ticket, parseLogin(who), attempt.known, password)
	switch {
	case err != nil:
		attempt.giveBack(ctx)
	case found == passwordWrong:
		if err = s.wrong(ctx, attempt, who, client); err == nil {
			err = errInvalidCredentials()
		}
	case user.Status != StatusActive:
		attempt.giveBack(ctx)
		err = errSuspended()
	case found == passwordStale:
		err = s.rehash(ctx, ticket, user, stored, password)
	}
	return user, attempt, err
}

// Only over the hash that was just compared: a password changed meanwhile wins.
const sqlRehash = `
UPDATE users SET password_hash = $3, pepper_id = $4, updated_at = greatest(updated_at, $5)
 WHERE id = $1 AND password_hash = $2`

// rehash brings a password to today's parameters and pepper, now that it is known.
func (s *Service) rehash(ctx context.Context, t *ticket, user User, old storedPassword, password string) error {
	stored, err := s.keyring().passwords.hash(ctx, t, user.Email, password)
	if err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, sqlRehash, user.ID, old.phc, stored.phc, stored.pepperID, s.now()); err != nil {
		return fmt.Errorf("store rehashed password: %w", err)
	}
	return nil
}
