package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// secondCheck is how a request shows that its user has the second factor: by a code, or without one
// by a recent step-up of its session.
type secondCheck struct {
	sessionID uuid.UUID
	otp       string
}

// confirmPassword checks the password of a signed-in user before a change that outlives the
// session. It counts, throttles and records like a log-in with the handle. The caller must call
// lockUser, which also checks the second factor, and right of the confirmation, in the transaction
// of the change, or failed.
func (s *Service) confirmPassword(ctx context.Context, userID UserID, password string, second secondCheck, client Client) (confirmation, error) {
	user, err := s.Me(ctx, userID)
	if err != nil {
		return confirmation{}, err
	}
	if len(password) > MaxPasswordBytes {
		return confirmation{}, errInvalidCredentials()
	}
	found, confirmed, err := s.checkLogin(ctx, "@"+user.Handle, password, client)
	if err != nil {
		s.logSignIn(ctx, found, "@"+user.Handle, client, err)
		return confirmation{}, fmt.Errorf("confirm the password: %w", err)
	}
	if found.ID != userID { // a handle stays its user's, so this is a failure of the database or of this code
		confirmed.giveBack(ctx)
		return confirmation{}, fmt.Errorf("the handle %s belongs to two users", user.Handle)
	}
	confirmed.second = second
	return confirmed, nil
}

const sqlLockConfirmedUser = `SELECT status, password_changed_at FROM users WHERE id = $1 FOR NO KEY UPDATE`

// lockUser is lockUnchanged, and refuses if the user has a second factor and neither the code of
// the request nor a recent step-up of its session proves it.
func (c confirmation) lockUser(ctx context.Context, tx pgx.Tx, userID UserID) error {
	if err := c.lockUnchanged(ctx, tx, userID); err != nil {
		return err
	}
	f, err := c.service.readSecondFactor(ctx, tx, userID)
	switch {
	case err != nil:
		return err
	case f == nil || !f.confirmed:
		return nil
	case c.second.otp == "":
		return c.service.checkStepUp(ctx, tx, userID, c.second.sessionID)
	}
	return c.service.useCode(ctx, tx, f, c.second.otp, c.client)
}

// lockUnchanged locks the row of the user until tx ends, and refuses if the user was suspended or
// the password changed after it was compared.
func (c confirmation) lockUnchanged(ctx context.Context, tx pgx.Tx, userID UserID) error {
	var (
		status    Status
		changedAt *time.Time
	)
	err := tx.QueryRow(ctx, sqlLockConfirmedUser, userID).Scan(&status, &changedAt)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errUserNotFound()
	case err != nil:
		return fmt.Errorf("lock the user: %w", err)
	case status != StatusActive:
		return errSuspended()
	case !sameTime(changedAt, c.changedAt):
		return errInvalidCredentials()
	}
	return nil
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}
