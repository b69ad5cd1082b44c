package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/server/ids"
	"github.com/JDevAman/kizo/server/problem"
)

// UserID is the id of a user.
type UserID = ids.UserID

// Role decides what a user may do beyond their own wallets.
type Role string

// The roles.
const (
	RoleUser     Role = "user"
	RoleOperator Role = "operator"
)

// Status of a user.
type Status string

// The states of a user.
const (
	StatusActive    Status = "active"
	StatusSuspended Status = "suspended"
	StatusClosed    Status = "closed" // by the user, forever
)

// User is a user, as shown to that user.
type User struct {
	ID        UserID
	Email     string // lower-case
	Handle    string // lower-case, without the @
	Name      string
	Role      Role
	Status    Status
	CreatedAt time.Time

	EmailVerified   bool // the address is known to be theirs: others can pay them by it
	FindableByEmail bool // they allow that
}

// UserRef is a user, as shown to other users: without the e-mail address.
type UserRef struct {
	ID     UserID
	Handle string
	Name   string
	Status Status
	Role   Role

	FindableByEmail bool
}

// userColumns are read into a User.
const userColumns = `id, email, handle, name, role, status, created_at, email_verified_at IS NOT NULL, findable_by_email`

const (
	sqlUser = `
SELECT ` + userColumns + `
  FROM users
 WHERE id = $1`

	sqlUpdateProfile = `
UPDATE users SET name = COALESCE($2, name), name_key = COALESCE($3, name_key), updated_at = greatest(updated_at, $4),
       findable_by_email = COALESCE($6, findable_by_email)
 WHERE id = $1 AND (role = 'operator' OR NOT $5)
RETURNING ` + userColumns

	sqlGrant = `
UPDATE users SET role = $3, updated_at = greatest(updated_at, $4)
 WHERE (email = nullif($1, '') AND email_verified_at IS NOT NULL OR handle = nullif($2, '')) AND status <> 'closed'
RETURNING ` + userColumns

	sqlRenameToHandle = `
UPDATE users SET name = handle, name_key = handle
 WHERE id = $1`
)

// Me returns the user with that id. The error has the code user_not_found if there is none.
func (s *Service) Me(ctx context.Context, userID UserID) (User, error) {
	return s.oneUser(ctx, "read user", sqlUser, userID)
}

// ProfileUpdate contains the new values of a profile; nil leaves a field unchanged.
type ProfileUpdate struct {
	Name            *string
	FindableByEmail *bool
}

// UpdateProfile changes the profile of a user and returns the changed user. Only operators
// may use a name that would pass for Kizo or its staff. If FindableByEmail is set, it
// returns after the lease, when the setting applies in all processes.
func (s *Service) UpdateProfile(ctx context.Context, userID UserID, update ProfileUpdate) (User, error) {
	var name, key *string
	reserved := false
	if update.Name != nil {
		text, err := normalName(*update.Name)
		if err != nil {
			return User{}, err
		}
		folded := nameKey(text)
		name, key, reserved = &text, &folded, reservedName(text)
	}
	user, err := s.oneUser(ctx, "update profile", sqlUpdateProfile, userID, name, key, s.now(), reserved, update.FindableByEmail)
	if reserved && problem.CodeOf(err) == CodeUserNotFound {
		return User{}, errNameReserved()
	}
	if err != nil {
		return User{}, err
	}
	s.cache.invalidate(change{"name", uuid.UUID(user.ID)})
	if update.FindableByEmail != nil {
		s.waitForCacheExpiry()
	}
	return user, nil
}

const sqlVerifyEmail = `
UPDATE users SET email_verified_at = COALESCE(email_verified_at, $2), updated_at = greatest(updated_at, $2)
 WHERE handle = $1 AND status <> 'closed'
RETURNING ` + userColumns

// VerifyEmail records that the user with that handle owns their e-mail address. From then
// on, others can pay them by it. The error has the code email_taken if another user has
// verified the address. The reason is stored with the actions of operators.
func (s *Service) VerifyEmail(ctx context.Context, handle, reason string) (User, error) {
	var user User
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		user, err = oneUser(ctx, tx, "verify e-mail address", sqlVerifyEmail, parseLogin(handle).handle, s.now())
		if err != nil {
			return taken(err)
		}
		if _, err := tx.Exec(ctx, sqlRecordAction, UserID{}, "email.verify", user.Handle, text.Clean(reason, 500)); err != nil {
			return fmt.Errorf("record the verification: %w", err)
		}
		return s.record(ctx, tx, EventEmailVerified, user.ID, uuid.Nil, Client{}, "")
	})
	if err != nil {
		return User{}, err
	}
	s.events.write(ctx, EventEmailVerified, slog.String("user", user.Handle), slog.String("reason", EventText(reason)))
	s.waitForCacheExpiry()
	return user, nil
}

// Grant gives a role to the user with that verified e-mail address or handle. It returns
// after the lease, when the role applies in all processes, also for open sessions. A user
// who is no longer an operator loses a name that only staff may have. The pool must be
// connected as the owner of the tables: kizo_app may not grant roles.
//
// Grant records the change for the user, and with the reason among the actions of
// operators; the operator of that action is kizod itself.
func (s *Service) Grant(ctx context.Context, identifier string, role Role, reason string) error {
	if role != RoleUser && role != RoleOperator {
		return fmt.Errorf("auth: there is no role %q", role)
	}
	l := parseLogin(identifier)
	var user User
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		user, err = oneUser(ctx, tx, "grant role", sqlGrant, l.email, l.handle, role, s.now())
		if err != nil {
			return err
		}
		if role == RoleUser && reservedName(user.Name) {
			if _, err := tx.Exec(ctx, sqlRenameToHandle, user.ID); err != nil {
				return fmt.Errorf("replace the reserved name: %w", err)
			}
		}
		if _, err := tx.Exec(ctx, sqlRecordAction, UserID{}, "role.grant."+string(role), user.Handle, text.Clean(reason, 500)); err != nil {
			return fmt.Errorf("record the grant: %w", err)
		}
		return s.record(ctx, tx, EventRoleChanged, user.ID, uuid.Nil, Client{}, string(role))
	})
	if err != nil {
		return err
	}
	s.events.write(ctx, EventRoleChanged, slog.String("user", user.Handle), slog.String("role", string(role)), slog.String("reason", EventText(reason)))
	s.waitForCacheExpiry()
	return nil
}

func (s *Service) oneUser(ctx context.Context, doing, sql string, args ...any) (User, error) {
	return oneUser(ctx, s.pool, doing, sql, args...)
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func oneUser(ctx context.Context, db querier, doing, sql string, args ...any) (User, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return User{}, fmt.Errorf("%s: %w", doing, err)
	}
	user, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[User])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return User{}, errUserNotFound()
	case err != nil:
		return User{}, fmt.Errorf("%s: %w", doing, err)
	}
	user.CreatedAt = user.CreatedAt.UTC()
	return user, nil
}
