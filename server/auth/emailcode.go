package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

// A user proves an e-mail address with a code that was mailed to it:
//
//	RequestEmailCode (own address) ──────┐
//	ChangeEmail (password, new address) ─┴─► EmailCode ─► mail ─► ConfirmEmail (code)
//
// ConfirmEmail needs a session of the user. Until then, the address and what it finds stay as they
// are.
const (
	codeToVerify codePurpose = "verify_email"
	codeToChange codePurpose = "change_email"
)

const (
	sqlEmailOfRequest = `SELECT email FROM mailed_codes WHERE user_id = $1 AND purpose = $2 AND request_id = $3 AND code_hash IS NOT NULL`

	sqlHashOfCode = `SELECT code_hash FROM mailed_codes WHERE user_id = $1 AND purpose = $2`

	sqlConfirmEmail = `SELECT confirm_email($1, $2, $3, $4)`

	// Codes that were mailed to the earlier address are void.
	sqlVoidCodes = `UPDATE mailed_codes SET code_hash = NULL WHERE user_id = $1 AND code_hash IS NOT NULL`
)

// RequestEmailCode prepares a code for the user's own address, which the worker makes with
// EmailCode for the same request. It reports whether there is one to mail: there is none for an
// address that is verified.
func (s *Service) RequestEmailCode(ctx context.Context, userID UserID, request uuid.UUID) (bool, error) {
	user, err := s.Me(ctx, userID)
	if err != nil || user.EmailVerified {
		return false, err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return s.prepareCode(ctx, tx, user, codeToVerify, request, user.Email)
	})
	return err == nil, err
}

// prepareCode stores a code that no user ever sees, in whose place EmailCode puts one. Its error
// has the code too_many_attempts above the limit of codes.
func (s *Service) prepareCode(ctx context.Context, tx pgx.Tx, user User, purpose codePurpose, request uuid.UUID, email string) error {
	made, _, err := s.makeCode(ctx, tx, user, purpose, request, email)
	if err == nil && made.Code == "" {
		return &problem.Error{Code: CodeTooManyAttempts, Message: "too many codes were asked for; try again in an hour", RetryAfter: countCodesFor}
	}
	return err
}

// ChangeEmailInput asks for another e-mail address. Formatting it does not show the password.
type ChangeEmailInput struct {
	Email         string
	Password, OTP string
	Request       uuid.UUID // of the mail
	Client        Client
}

// Format omits the password for every verb of fmt.
func (in ChangeEmailInput) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.ChangeEmailInput(password %s)", redacted)
}

// ChangeEmail asks for another address of the user of a session, who confirms it with a code that
// is mailed there. It needs the password and the second factor, and does not reveal whether another
// user has the address. It returns the present address, if that is verified.
func (s *Service) ChangeEmail(ctx context.Context, p Principal, in ChangeEmailInput) (present string, err error) {
	email, err := normalEmail(in.Email)
	if err != nil {
		return "", err
	}
	user, err := s.Me(ctx, p.UserID)
	if err != nil {
		return "", err
	}
	confirmed, err := s.confirmPassword(ctx, p.UserID, in.Password, secondCheck{p.SessionID, in.OTP}, in.Client)
	if err != nil {
		return "", err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := confirmed.lockUser(ctx, tx, p.UserID); err != nil {
			return err
		}
		if err := s.prepareCode(ctx, tx, user, codeToChange, in.Request, email); err != nil {
			return err
		}
		if err := s.record(ctx, tx, EventEmailChangeRequested, p.UserID, p.SessionID, in.Client, ""); err != nil {
			return err
		}
		return confirmed.right(ctx, tx)
	})
	if err != nil {
		confirmed.failed(ctx, err)
		return "", fmt.Errorf("change the e-mail address: %w", err)
	}
	s.events.write(ctx, EventEmailChangeRequested, append([]slog.Attr{slog.String("user", user.Handle)}, clientAttrs(in.Client)...)...)
	if user.EmailVerified {
		present = user.Email
	}
	return present, nil
}

// EmailCode makes the code of a request of RequestEmailCode or ChangeEmail, for the mail to the
// address. It returns no code if a later request or a use has ended the request.
func (s *Service) EmailCode(ctx context.Context, request uuid.UUID, userID UserID, change bool) (MailedCode, error) {
	purpose := codeToVerify
	if change {
		purpose = codeToChange
	}
	user, err := s.Me(ctx, userID)
	if err != nil || user.Status != StatusActive {
		if problem.CodeOf(err) == CodeUserNotFound {
			err = nil
		}
		return MailedCode{}, err
	}
	var made MailedCode
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var email string
		err := tx.QueryRow(ctx, sqlEmailOfRequest, userID, purpose, request).Scan(&email)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil {
			made, _, err = s.makeCode(ctx, tx, user, purpose, request, email)
		}
		return err
	})
	if err != nil {
		return MailedCode{}, fmt.Errorf("make the code of an address: %w", err)
	}
	return made, nil
}

// EmailConfirmed is what ConfirmEmail did.
type EmailConfirmed struct {
	User    User
	Earlier string // the earlier verified address, if the address changed
}

func errEmailCode() *problem.Error {
	return &problem.Error{Code: CodeEmailCodeInvalid, Message: "the code is wrong, too old, or was used before", Field: "code"}
}

// ConfirmEmail verifies or changes the address of the user of a session with the code that was
// mailed to it. A wrong code counts against the codes that are valid. The error has the code
// email_taken if another user has verified the address since. Codes that were mailed to an earlier
// address are void.
func (s *Service) ConfirmEmail(ctx context.Context, p Principal, code string, client Client) (EmailConfirmed, error) {
	var (
		done    EmailConfirmed
		refused error
		event   = EventEmailVerified
	)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var status Status
		if err := tx.QueryRow(ctx, sqlLockConfirmedUser, p.UserID).Scan(&status, nil); err != nil {
			return fmt.Errorf("lock the user: %w", err)
		}
		before, err := oneUser(ctx, tx, "read user", sqlUser, p.UserID)
		if err != nil {
			return err
		}
		purpose, err := s.purposeOf(ctx, tx, p.UserID, code)
		if err != nil {
			return err
		}
		if purpose == "" || status != StatusActive {
			refused = errEmailCode()
			return nil // commits the count of failures
		}
		var (
			hash []byte
			ok   bool
		)
		if err := tx.QueryRow(ctx, sqlHashOfCode, p.UserID, purpose).Scan(&hash); err != nil {
			return fmt.Errorf("read the code: %w", err)
		}
		if err := tx.QueryRow(ctx, sqlConfirmEmail, p.UserID, purpose, hash, s.now()).Scan(&ok); err != nil {
			return taken(err)
		}
		if !ok { // the address has changed since
			refused = errEmailCode()
			return nil
		}
		if _, err := tx.Exec(ctx, sqlVoidCodes, p.UserID); err != nil {
			return fmt.Errorf("end the codes: %w", err)
		}
		if done.User, err = oneUser(ctx, tx, "read user", sqlUser, p.UserID); err != nil {
			return err
		}
		if purpose == codeToChange {
			event = EventEmailChanged
			if before.EmailVerified {
				done.Earlier = before.Email
			}
		}
		return s.record(ctx, tx, event, p.UserID, p.SessionID, client, "")
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return EmailConfirmed{}, fmt.Errorf("confirm the e-mail address: %w", err)
	}
	s.events.write(ctx, event, append([]slog.Attr{slog.String("user", done.User.Handle)}, clientAttrs(client)...)...)
	s.waitForCacheExpiry()
	return done, nil
}

// purposeOf returns the purpose for which a code is right, or "" after it has counted a failure.
func (s *Service) purposeOf(ctx context.Context, tx pgx.Tx, userID UserID, code string) (codePurpose, error) {
	for _, purpose := range []codePurpose{codeToChange, codeToVerify} {
		right, err := s.checkMailedCode(ctx, tx, userID, purpose, code)
		if err != nil || right {
			return purpose, err
		}
	}
	return "", nil
}
