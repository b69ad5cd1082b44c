package auth

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

// CloseAccountInput asks to close an account. Formatting it does not show the password.
type CloseAccountInput struct {
	Password string
	OTP      string // of the second factor, if the user has one
	Client   Client
}

// Format omits the password for every verb of fmt.
func (in CloseAccountInput) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.CloseAccountInput(password %s)", redacted)
}

// LogValue omits the password from logs.
func (in CloseAccountInput) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(in)) }

const sqlCloseUser = `SELECT close_user($1, $2)`

// sqlForget deletes what only a log-in needs, and the inbox. The recovery codes and the thresholds
// of the second factor end with it.
var sqlForget = []string{
	`DELETE FROM second_factors WHERE user_id = $1`, // also one that is not confirmed
	`DELETE FROM known_addresses WHERE user_id = $1`,
	`DELETE FROM known_devices WHERE user_id = $1`,
	`DELETE FROM mailed_codes WHERE user_id = $1`,
	`DELETE FROM reset_codes WHERE user_id = $1`,
	`DELETE FROM notices WHERE user_id = $1`,
}

// CloseAccount closes the account of a user who knows the password, forever: it ends all sessions
// and API keys, deletes the second factor, known devices and codes, and replaces the name and the
// e-mail address. The handle stays the user's, so that no other user gets it. A closed user is no
// different from an unknown one for log-ins and resets.
//
// closeWallets is called in the transaction, and refuses if the user has money. CloseAccount
// returns after the lease, when no process accepts a token or a payment. notify is the verified
// address of before, for a mail; it is empty if there was none. Operators are refused: their role
// has to be removed first.
func (s *Service) CloseAccount(ctx context.Context, p Principal, in CloseAccountInput, closeWallets func(context.Context, pgx.Tx) error) (notify string, err error) {
	if p.Role != RoleUser {
		return "", errOperatorCloses()
	}
	confirmed, err := s.confirmPassword(ctx, p.UserID, in.Password, secondCheck{p.SessionID, in.OTP}, in.Client)
	if err != nil {
		return "", err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := confirmed.lockUser(ctx, tx, p.UserID); err != nil {
			return err
		}
		user, err := oneUser(ctx, tx, "read user", sqlUser, p.UserID)
		if err != nil {
			return err
		}
		if user.EmailVerified {
			notify = user.Email
		}
		if err := confirmed.right(ctx, tx); err != nil {
			return err
		}
		if err := s.endAccess(ctx, tx, p.UserID); err != nil {
			return err
		}
		if err := s.record(ctx, tx, EventAccountClosed, p.UserID, p.SessionID, in.Client, ""); err != nil {
			return err
		}
		// The wallets come last: transfers wait for their locks.
		if err := closeWallets(ctx, tx); err != nil {
			return err
		}
		var closed bool
		if err := tx.QueryRow(ctx, sqlCloseUser, p.UserID, s.now()).Scan(&closed); err != nil {
			return fmt.Errorf("close the user: %w", err)
		}
		if !closed { // the user has become an operator since
			return errOperatorCloses()
		}
		return nil
	})
	if err != nil {
		confirmed.failed(ctx, err)
		return "", fmt.Errorf("close the account: %w", err)
	}
	s.events.write(ctx, EventAccountClosed, append([]slog.Attr{slog.String("user", p.Handle)}, clientAttrs(in.Client)...)...)
	s.cache.invalidate(change{"user", uuid.UUID(p.UserID)})
	s.waitForCacheExpiry()
	return notify, nil
}

// endAccess ends the sessions and the API keys of a user whose row is locked, and deletes what only
// a log-in needs.
func (s *Service) endAccess(ctx context.Context, tx pgx.Tx, userID UserID) error {
	if _, err := s.endSessionsFor(ctx, tx, userID, uuid.Nil, s.now(), "account closed"); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, sqlRevokeAPIKeys, userID, s.now(), "account closed"); err != nil {
		return fmt.Errorf("revoke API keys: %w", err)
	}
	for _, sql := range sqlForget {
		if _, err := tx.Exec(ctx, sql, userID); err != nil {
			return fmt.Errorf("forget devices and codes: %w", err)
		}
	}
	return nil
}

func errOperatorCloses() *problem.Error {
	return &problem.Error{Code: CodeOwnAccount, Message: "operators cannot close their account: another operator has to take the role away first (kizod user grant NAME user)"}
}
