package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/problem"
)

// LogIn opens a session for the user with that e-mail address or handle (with or without the @).
// If several users have the e-mail address, it is the one whose password matches. An unknown user
// and a wrong password get the same error after the same work; only the right password reveals
// that an account is suspended, or that it has a second factor, of which otp is a code, or a
// recovery code; it is empty if the user was not asked for one. After too many failures, or while
// too many log-ins wait, the error is a refusal with RetryAfter.
func (s *Service) LogIn(ctx context.Context, identifier, password, otp string, client Client) (Tokens, User, error) {
	if len(password) > MaxPasswordBytes {
		return Tokens{}, User{}, errInvalidCredentials() // no user has such a password: not worth a hash
	}
	user, confirmed, err := s.checkLogin(ctx, identifier, password, client)
	if err != nil {
		s.logSignIn(ctx, user, identifier, client, err)
		return Tokens{}, User{}, fmt.Errorf("log in: %w", err)
	}
	var tokens Tokens
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		withFactor, err := s.checkSecondFactor(ctx, tx, user.ID, otp, client)
		if err != nil {
			return err
		}
		if tokens, err = s.openSession(ctx, tx, user, client, confirmed.changedAt, withFactor); err != nil {
			return err
		}
		if err := s.signedIn(ctx, tx, EventSignedIn, user.ID, &tokens, client, ""); err != nil {
			return err
		}
		return confirmed.right(ctx, tx)
	})
	if err != nil { // the user was suspended or the password changed meanwhile, or the database failed
		confirmed.failed(ctx, err)
		return Tokens{}, User{}, fmt.Errorf("log in: %w", err)
	}
	_ = failpoint.Point("auth.logged_in")
	s.logSignIn(ctx, user, identifier, client, nil)
	s.logNewDevice(ctx, user, tokens, client)
	return tokens, user, nil
}

// confirmation is a log-in attempt whose password was right.
type confirmation struct {
	attempt
	changedAt *time.Time // of the password that was compared; nil if it is that of the sign-up

	service *Service
	user    User
	second  secondCheck
	client  Client
}

// failed ends an attempt that had the right password. It counts as failed if the second factor was
// wrong.
func (c confirmation) failed(ctx context.Context, err error) {
	if problem.CodeOf(err) != CodeOTPInvalid {
		c.giveBack(ctx)
		return
	}
	_ = c.service.wrong(ctx, c.attempt, "", c.client) // the attempt counts in any case
	c.service.recordFailure(ctx, EventSecondFactorFailed, c.user.ID, uuid.Nil, c.client)
	c.service.logFactor(ctx, EventSecondFactorFailed, Principal{Handle: c.user.Handle}, c.client)
}

// checkLogin returns the active user with that password. It enters the hash queue first, so
// that a log-in which is refused there has cost nothing.
func (s *Service) checkLogin(ctx context.Context, identifier, password string, client Client) (User, confirmation, error) {
	ticket, err := s.hashQueue.enter()
	if err != nil {
		return User{}, confirmation{}, err
	}
	defer ticket.leave()
	attempt, err := s.throttle.begin(ctx, identifier, client)
	if err != nil {
		return User{}, confirmation{}, err
	}
	user, stored, found, err := s.authenticate(ctx, ticket, parseLogin(identifier), attempt.known, password)
	switch {
	case err != nil:
		attempt.giveBack(ctx)
	case found == passwordWrong:
		if err = s.wrong(ctx, attempt, identifier, client); err == nil {
			err = errInvalidCredentials()
		}
	case user.Status != StatusActive:
		attempt.giveBack(ctx)
		err = errSuspended()
	case found == passwordStale:
		err = s.rehash(ctx, ticket, user, stored, password)
	}
	return user, confirmation{attempt: attempt, changedAt: stored.changedAt, service: s, user: user, client: client}, err
}

// It replaces only the hash that was just compared, not that of a changed password.
const sqlRehash = `
UPDATE users SET password_hash = $3, pepper_id = $4, updated_at = greatest(updated_at, $5)
 WHERE id = $1 AND password_hash = $2`

// rehash stores a password, which is known during a log-in, under the current parameters,
// salt and pepper.
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
