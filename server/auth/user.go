package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Role is what a user may do beyond their own wallets.
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
)

// User is a user as they see themselves.
type User struct {
	ID        uuid.UUID
	Email     string // lower-case
	Handle    string // lower-case, without the @
	Name      string
	Role      Role
	Status    Status
	CreatedAt time.Time

	EmailVerified   bool // the address is theirs: others can pay them by it
	FindableByEmail bool // they want that
}

// UserRef is a user as others see them: no e-mail address.
type UserRef struct {
	ID     uuid.UUID
	Handle string
	Name   string
	Status Status
	Role   Role

	FindableByEmail bool
}

const (
	sqlUser = `
SELECT id, email, handle, name, role, status, created_at, email_verified_at IS NOT NULL, findable_by_email
  FROM users
 WHERE id = $1`

	sqlUpdateProfile = `
UPDATE users SET name = COALESCE($2, name), name_key = COALESCE($3, name_key), updated_at = greatest(updated_at, $4),
       findable_by_email = COALESCE($6, findable_by_email)
 WHERE id = $1 AND (role = 'operator' OR NOT $5)
RETURNING id, email, handle, name, role, status, created_at, email_verified_at IS NOT NULL, findable_by_email`

	sqlGrant = `
UPDATE users SET role = $3, updated_at = greatest(updated_at, $4)
 WHERE email = nullif($1, '') AND email_verified_at IS NOT NULL OR handle = nullif($2, '')
RETURNING id, email, handle, name, role, status, created_at, email_verified_at IS NOT NULL, findable_by_email`

	sqlRenameToHandle = `
UPDATE users SET name = handle, name_key = handle
 WHERE id = $1`
)

// Me returns the user's own record.
func (s *Service) Me(ctx context.Context, userID uuid.UUID) (User, error) {
	return s.oneUser(ctx, "read user", sqlUser, userID)
}

// ProfileUpdate is what a user changes of their profile; nil leaves a field as it is.
type ProfileUpdate struct {
	Name            *string
	FindableByEmail *bool
}

// UpdateProfile changes a user's profile and returns the user as changed. Names that
// would pass for Kizo or its staff are for operators. When it returns, one lease later,
// a changed setting holds everywhere.
func (s *Service) UpdateProfile(ctx context.Context, userID uuid.UUID, update ProfileUpdate) (User, error) {
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
	if reserved && CodeOf(err) == CodeUserNotFound {
		return User{}, errNameReserved()
	}
	if err != nil {
		return User{}, err
	}
	s.cache.invalidate(change{"name", user.ID})
	if update.FindableByEmail != nil {
		s.waitForCacheExpiry()
	}
	return user, nil
}

// Rename changes the name that others see.
func (s *Service) Rename(ctx context.Context, userID uuid.UUID, name string) (User, error) {
	return s.UpdateProfile(ctx, userID, ProfileUpdate{Name: &name})
}

const sqlVerifyEmail = `
UPDATE users SET email_verified_at = COALESCE(email_verified_at, $2), updated_at = greatest(updated_at, $2)
 WHERE handle = $1
RETURNING id, email, handle, name, role, status, created_at, email_verified_at IS NOT NULL, findable_by_email`

// VerifyEmail records that the e-mail address of the user of that handle is theirs. From
// then on others can pay them by it. It is refused if another user has verified the
// address. The reason is kept among the actions of operators.
func (s *Service) VerifyEmail(ctx context.Context, handle, reason string) (User, error) {
	var user User
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		user, err = oneUser(ctx, tx, "verify e-mail address", sqlVerifyEmail, parseLogin(handle).handle, s.now())
		if err != nil {
			return taken(err)
		}
		if _, err := tx.Exec(ctx, sqlNoteAction, uuid.Nil, "email.verify", user.Handle, clean(reason, 500)); err != nil {
			return fmt.Errorf("note the verification: %w", err)
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

// Grant gives the user of that verified e-mail address or handle a role. When it returns,
// one lease later, it holds everywhere, for sessions that are already open too. Who is
// no longer an operator loses a name that only staff may have. The pool must connect as
// the owner of the tables: the application's role may not grant.
//
// The change is recorded for the user, and with the reason among the actions of
// operators, where its operator is the server itself.
func (s *Service) Grant(ctx context.Context, who string, role Role, reason string) error {
	if role != RoleUser && role != RoleOperator {
		return fmt.Errorf("auth: there is no role %q", role)
	}
	l := parseLogin(who)
	var user User
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		user, err = oneUser(ctx, tx, "grant role", sqlGrant, l.email, l.handle, role, s.now())
		if err != nil {
			return err
		}
		if role == RoleUser && reservedName(user.Name) {
			if _, err := tx.Exec(ctx, sqlRenameToHandle, user.ID); err != nil {
				return fmt.Errorf("take the name of staff away: %w", err)
			}
		}
		if _, err := tx.Exec(ctx, sqlNoteAction, uuid.Nil, "role.grant."+string(role), user.Handle, clean(reason, 500)); err != nil {
			return fmt.Errorf("note the grant: %w", err)
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
