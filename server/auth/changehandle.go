package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

// ChangeHandleInput asks for another handle. Formatting it does not show the password.
type ChangeHandleInput struct {
	SessionID uuid.UUID // the session of the request
	Handle    string    // with or without the @
	Password  string
	OTP       string // of the second factor, if the user has one
	Client    Client
}

// Format omits the password for every verb of fmt.
func (in ChangeHandleInput) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.ChangeHandleInput(@%q, password %s)", in.Handle, redacted)
}

// LogValue omits the password from logs.
func (in ChangeHandleInput) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(in)) }

// maxHandleChanges is how often a user may change the handle within a year. The trigger
// users_handle_reserved has the same number.
const maxHandleChanges = 2

const (
	sqlHandleAndChanges = `
SELECT u.handle,
       (SELECT min(f.changed_at) + interval '1 year' FROM (
               SELECT changed_at FROM former_handles
                WHERE user_id = u.id AND changed_at > clock_timestamp() - interval '1 year'
                ORDER BY changed_at DESC LIMIT $2) f HAVING count(*) = $2)
  FROM users u
 WHERE u.id = $1`

	sqlChangeHandle = `
UPDATE users SET handle = $2, updated_at = greatest(updated_at, $3)
 WHERE id = $1
RETURNING ` + userColumns
)

// ChangeHandle gives a user who knows the password another handle, at most twice in a year. The
// earlier one stays reserved for the user, who may take it back; payments to it are refused (see
// FindPayees). It returns after the lease, when every process knows the new handle.
//
// The error has the code handle_taken if another user has or had the handle, handle_unchanged if
// it is the present one, and too_many_handle_changes after two changes within a year.
func (s *Service) ChangeHandle(ctx context.Context, userID UserID, in ChangeHandleInput) (User, error) {
	handle, err := normalHandle(in.Handle)
	if err == nil {
		err = checkHandleFree(handle)
	}
	if err != nil {
		return User{}, err
	}
	confirmed, err := s.confirmPassword(ctx, userID, in.Password, secondCheck{in.SessionID, in.OTP}, in.Client)
	if err != nil {
		return User{}, err
	}
	var (
		user   User
		before string
	)
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if err := confirmed.lockUser(ctx, tx, userID); err != nil {
			return err
		}
		if before, err = mayChangeHandle(ctx, tx, userID, handle); err != nil {
			return err
		}
		if user, err = oneUser(ctx, tx, "change handle", sqlChangeHandle, userID, handle, s.now()); err != nil {
			return taken(err)
		}
		if err := s.record(ctx, tx, EventHandleChanged, userID, in.SessionID, in.Client, "@"+before+" to @"+handle); err != nil {
			return err
		}
		return confirmed.right(ctx, tx)
	})
	if err != nil {
		confirmed.failed(ctx, err)
		return User{}, fmt.Errorf("change handle: %w", err)
	}
	s.events.write(ctx, EventHandleChanged, append([]slog.Attr{slog.String("user", handle), slog.String("before", before)}, clientAttrs(in.Client)...)...)
	s.cache.invalidate(change{"user", uuid.UUID(userID)})
	s.waitForCacheExpiry()
	return user, nil
}

// mayChangeHandle returns the present handle of a user whose row is locked, or why it cannot be
// changed.
func mayChangeHandle(ctx context.Context, tx pgx.Tx, userID UserID, handle string) (before string, err error) {
	var again *time.Time // when a further change is allowed; nil: now
	if err := tx.QueryRow(ctx, sqlHandleAndChanges, userID, maxHandleChanges).Scan(&before, &again); err != nil {
		return "", fmt.Errorf("count the changes of the handle: %w", err)
	}
	switch {
	case before == handle:
		return "", &problem.Error{Code: CodeHandleUnchanged, Message: "this is your handle already", Field: "handle"}
	case again != nil:
		return "", &problem.Error{
			Code: CodeTooManyHandleChanges, Field: "handle",
			Message: "a handle can be changed twice within a year; you can change yours again from " + again.UTC().Format(time.DateOnly),
		}
	}
	return before, nil
}

const sqlFormerHandles = `SELECT handle FROM former_handles WHERE handle = ANY($1)`

// markFormerHandles marks the results without a user whose handle is one that a user has given up.
func (s *Service) markFormerHandles(ctx context.Context, logins []login, results []FoundPayee) error {
	var unknown []string
	for i, l := range logins {
		if l.handle != "" && errors.Is(results[i].Err, CodeUserNotFound) {
			unknown = append(unknown, l.handle)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	rows, err := s.pool.Query(ctx, sqlFormerHandles, unknown)
	if err != nil {
		return fmt.Errorf("look former handles up: %w", err)
	}
	handles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look former handles up: %w", err)
	}
	former := make(map[string]bool, len(handles))
	for _, handle := range handles {
		former[handle] = true
	}
	for i, l := range logins {
		if former[l.handle] && errors.Is(results[i].Err, CodeUserNotFound) {
			results[i].Former = true
		}
	}
	return nil
}
