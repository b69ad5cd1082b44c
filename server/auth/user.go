package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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
}

// UserRef is a user as others see them: no e-mail address.
type UserRef struct {
	ID     uuid.UUID
	Handle string
	Name   string
	Status Status
	Role   Role
}

const (
	sqlUser = `
SELECT id, email, handle, name, role, status, created_at
  FROM users
 WHERE id = $1`

	sqlRename = `
UPDATE users SET name = $2, name_key = $3, updated_at = greatest(updated_at, $4)
 WHERE id = $1 AND (role = 'operator' OR NOT $5)
RETURNING id, email, handle, name, role, status, created_at`

	sqlGrant = `
UPDATE users SET role = $3, updated_at = greatest(updated_at, $4)
 WHERE email = nullif($1, '') OR handle = nullif($2, '')
RETURNING id, email, handle, name, role, status, created_at`

	sqlRenameToHandle = `
UPDATE users SET name = handle, name_key = handle
 WHERE id = $1`
)

// Me returns the user's own record.
func (s *Service) Me(ctx context.Context, userID uuid.UUID) (User, error) {
	return s.oneUser(ctx, "read user", sqlUser, userID)
}

// Rename changes the name that others see and returns the user as changed. Names that
// would pass for Kizo or its staff are for operators.
func (s *Service) Rename(ctx context.Context, userID uuid.UUID, name string) (User, error) {
	name, err := normalName(name)
	if err != nil {
		return User{}, err
	}
	reserved := reservedName(name)
	user, err := s.oneUser(ctx, "rename user", sqlRename, userID, name, strings.ToLower(name), s.now(), reserved)
	if reserved && CodeOf(err) == CodeUserNotFound {
		return User{}, errNameReserved()
	}
	if err == nil {
		s.recall.learn(change{"name", user.ID})
	}
	return user, err
}

// Grant gives the user of that e-mail address or handle a role. When it returns,
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
	s.trail.write(ctx, EventRoleChanged, slog.String("user", user.Handle), slog.String("role", string(role)), slog.String("reason", EventText(reason)))
	s.outlastLeases()
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
