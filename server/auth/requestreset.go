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

var (
	// For requests of mailed codes: of one login, whether it exists or not, and of one address.
	codeLoginRule   = throttleRule{free: 5, period: 15 * time.Minute}
	codeAddressRule = throttleRule{free: 20, period: time.Minute}
)

// CountResetRequest counts a request for a mailed reset code by its login and its address, or
// refuses it with too_many_attempts. It does the same work for unknown and known logins, and
// returns the form of the login that MailResetCode takes.
func (s *Service) CountResetRequest(ctx context.Context, identifier, address string) (string, error) {
	source, account := s.throttle.addressKey(address), s.throttle.accountKey(identifier)
	if err := s.throttle.limit(ctx, scopeCode, s.throttle.key(scopeCode, "address"+string(source[:])), codeAddressRule); err != nil {
		return "", codesThrottled(err)
	}
	if err := s.throttle.limit(ctx, scopeCode, s.throttle.key(scopeCode, "login"+string(account[:])), codeLoginRule); err != nil {
		return "", codesThrottled(err)
	}
	l := parseLogin(identifier)
	if l.email != "" {
		return l.email, nil
	}
	return l.handle, nil
}

func codesThrottled(err error) error {
	if refused, ok := errors.AsType[*problem.Error](err); ok {
		refused.Message = fmt.Sprintf("too many codes were asked for; try again in %v", refused.RetryAfter)
	}
	return err
}

const sqlUserByVerified = `
SELECT ` + userColumns + `
  FROM users
 WHERE (email = nullif($1, '') OR handle = nullif($2, '')) AND email_verified_at IS NOT NULL AND status = 'active'
 LIMIT 1`

// MailResetCode makes the code with which a user chooses another password, for the mail to their
// verified address. It returns no code for an unknown or suspended user, for one who has not
// verified an address, and above the limit of codes. A repeated call for the same request replaces
// the code.
func (s *Service) MailResetCode(ctx context.Context, request uuid.UUID, login string, client Client) (MailedCode, error) {
	l := parseLogin(login)
	user, err := s.oneUser(ctx, "find the user", sqlUserByVerified, l.email, l.handle)
	if problem.CodeOf(err) == CodeUserNotFound {
		return MailedCode{}, nil
	}
	if err != nil {
		return MailedCode{}, err
	}
	var made MailedCode
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		var again bool
		if made, again, err = s.makeCode(ctx, tx, user, codeForReset, request, user.Email); err != nil || made.Code == "" || again {
			return err
		}
		s.events.write(ctx, EventPasswordResetRequested, append([]slog.Attr{slog.String("user", user.Handle)}, clientAttrs(client)...)...)
		return s.record(ctx, tx, EventPasswordResetRequested, user.ID, uuid.Nil, client, "")
	})
	if err != nil {
		return MailedCode{}, fmt.Errorf("make a reset code: %w", err)
	}
	return made, nil
}

// limit counts a use of key, or refuses it, with the code too_many_attempts.
func (t *throttle) limit(ctx context.Context, scope string, key throttleKey, rule throttleRule) error {
	now := t.clock()
	until, err := t.countByUser(ctx, rule, key, now)
	if err != nil {
		return fmt.Errorf("count against the limit %s: %w", scope, err)
	}
	if until.IsZero() {
		return nil
	}
	return t.refuse(scope, until.Sub(now))
}
