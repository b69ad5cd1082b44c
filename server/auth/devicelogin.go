package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/problem"
)

// A device without a keyboard is signed in by a user who is signed in elsewhere (RFC 8628):
//
//	device                                server                     user, signed in elsewhere
//	BeginDeviceLogin ───────────────────► device code, user code
//	shows the user code
//	FinishDeviceLogin ──────────────────► authorization_pending
//	                                      client, address, time ◄─── FindDeviceLogin (user code)
//	                                      approved or denied    ◄─── DecideDeviceLogin
//	FinishDeviceLogin ──────────────────► tokens of a new session
//
// The device code has 256 random bits and is stored as its SHA-256. The user code has 40, so it is
// stored as an HMAC, and its guesses are counted by user and by address. Both are valid for ten
// minutes and used once: the session is opened in the transaction that deletes the request. An
// approval is for one request, by its id and its user code. It is void when, before the device
// asks, the approving session ends in any other way than by logging out, the password changes, or
// the user is suspended.
const (
	deviceLoginLife   = 10 * time.Minute
	deviceCodePrefix  = "kizo_dc_"
	userCodeLength    = 8
	userCodeGroup     = 4
	maxDevicePoll     = 60 * time.Second
	devicePollStep    = 5 * time.Second // RFC 8628, 3.5: added by each slow_down
	devicePollMargin  = time.Second     // a poll may arrive that much earlier than the interval says
	maxDeviceLogins   = 10_000          // open ones, of all addresses
	maxFromOneAddress = 10
)

// DeviceLogin is the request of a device to be signed in. Formatting it does not show the codes.
type DeviceLogin struct {
	DeviceCode string // for the device only
	UserCode   string // for the user to type elsewhere
	ExpiresIn  time.Duration
	Interval   time.Duration // between two calls of FinishDeviceLogin, at least
}

// Format omits the codes for every verb of fmt.
func (d DeviceLogin) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.DeviceLogin(codes %s)", redacted)
}

// LogValue omits the codes from logs.
func (d DeviceLogin) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(d)) }

const (
	// One request at a time is counted and added, so that no race passes the maximum.
	sqlLockDeviceLogins = `SELECT pg_advisory_xact_lock(hashtextextended('kizo device log-ins', 0))`

	sqlCountDeviceLogins = `
SELECT (SELECT count(*) FROM device_logins WHERE expires_at > $1),
       (SELECT count(*) FROM device_logins WHERE expires_at > $1 AND address_key = $2)`

	sqlAddDeviceLogin = `
INSERT INTO device_logins (id, device_code_hash, user_code_hash, address_key, client, address, created_at, expires_at, poll_seconds)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
)

// BeginDeviceLogin opens a request for the device that client describes. At most 10 requests of one
// address and 10,000 of all are open; beyond that the error has the code too_many_device_logins.
func (s *Service) BeginDeviceLogin(ctx context.Context, client Client) (DeviceLogin, error) {
	client = client.clean()
	var (
		secret  = randomBytes(32)
		hash    = sha256.Sum256(secret)
		now     = s.now()
		address = s.throttle.addressKey(client.Address)
		d       = DeviceLogin{
			DeviceCode: deviceCodePrefix + base64.RawURLEncoding.EncodeToString(secret),
			UserCode:   newCode(userCodeLength, userCodeGroup),
			ExpiresIn:  deviceLoginLife, Interval: s.config.DevicePoll,
		}
	)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLockDeviceLogins); err != nil {
			return err
		}
		var open, here int
		if err := tx.QueryRow(ctx, sqlCountDeviceLogins, now, address.bytes()).Scan(&open, &here); err != nil {
			return err
		}
		if open >= maxDeviceLogins || here >= maxFromOneAddress {
			return &problem.Error{
				Code: CodeTooManyDeviceLogins, RetryAfter: deviceLoginLife,
				Message: "too many devices wait for their approval; try again in ten minutes",
			}
		}
		_, err := tx.Exec(ctx, sqlAddDeviceLogin, newID(), hash[:], s.userCodeHashes(d.UserCode)[0], address.bytes(), client.UserAgent, client.Address,
			now, now.Add(deviceLoginLife), int(d.Interval.Seconds()))
		return err
	})
	if err != nil {
		return DeviceLogin{}, fmt.Errorf("begin device login: %w", err)
	}
	return d, nil
}

// userCodeHashes returns the hashes of a user code under every pepper, that under the current one
// first.
func (s *Service) userCodeHashes(code string) (hashes [][]byte) {
	peppers := s.keyring().passwords.peppers
	for _, p := range append([]Pepper{peppers.current}, peppers.older...) {
		mac := hmac.New(sha256.New, p.Key.Reveal())
		mac.Write([]byte("kizo user code\x00" + asTyped.Replace(strings.ToUpper(code))))
		hashes = append(hashes, mac.Sum(nil))
	}
	return hashes
}

const (
	sqlLockDeviceLogin = `
SELECT id, expires_at, polled_at, make_interval(secs => poll_seconds), approved, decided_by, approver_session, password_changed_at
  FROM device_logins
 WHERE device_code_hash = $1
   FOR UPDATE`

	// The commit is asynchronous: a lost poll is as good as none.
	sqlNotePoll = `
UPDATE device_logins SET polled_at = $2, poll_seconds = $3 WHERE id = $1
RETURNING ` + commitAsync

	sqlUseDeviceLogin = `DELETE FROM device_logins WHERE id = $1`

	// FOR SHARE: a concurrent end of the session waits until the new one is open, or this waits
	// for it and then finds that it has ended.
	sqlApproverSession = `
SELECT 1 FROM sessions
 WHERE id = $1 AND (revoked_at IS NULL OR revoked_reason = 'logout')
   FOR SHARE`
)

// deviceRequest is a row of device_logins, which is locked.
type deviceRequest struct {
	id              uuid.UUID
	expires         time.Time
	polled          *time.Time
	interval        time.Duration
	approved        *bool
	approver        *uuid.UUID
	approverSession *uuid.UUID
	changedAt       *time.Time
}

// FinishDeviceLogin opens the session of a device whose request was approved. Until then the errors
// have the codes of RFC 8628, 3.5: authorization_pending; slow_down, after which the interval is
// five seconds longer; access_denied; and expired_token, also for a code that was used or never
// existed.
func (s *Service) FinishDeviceLogin(ctx context.Context, deviceCode string, client Client) (Tokens, User, error) {
	secret, ok := parseSecret(deviceCodePrefix, deviceCode)
	if !ok {
		return Tokens{}, User{}, errExpiredToken()
	}
	hash := sha256.Sum256(secret)
	var (
		tokens  Tokens
		user    User
		refused *problem.Error
	)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		r, err := lockDeviceLogin(ctx, tx, hash[:])
		if err != nil {
			return err
		}
		_ = failpoint.Point("auth.device_locked")
		if refused, err = s.refuseDevice(ctx, tx, r); err != nil || refused != nil {
			return err // nil commits the poll
		}
		tokens, user, err = s.openDeviceSession(ctx, tx, r, client)
		return err
	})
	switch {
	case err != nil:
		return Tokens{}, User{}, fmt.Errorf("finish device login: %w", err)
	case refused != nil:
		return Tokens{}, User{}, refused
	}
	_ = failpoint.Point("auth.device_signed_in")
	s.logSignIn(ctx, user, "", client, nil)
	s.logNewDevice(ctx, user, tokens, client)
	return tokens, user, nil
}

func lockDeviceLogin(ctx context.Context, tx pgx.Tx, hash []byte) (deviceRequest, error) {
	rows, err := tx.Query(ctx, sqlLockDeviceLogin, hash)
	if err != nil {
		return deviceRequest{}, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r deviceRequest, err error) {
		err = row.Scan(&r.id, &r.expires, &r.polled, &r.interval, &r.approved, &r.approver, &r.approverSession, &r.changedAt)
		return r, err
	})
	switch {
	case err != nil:
		return deviceRequest{}, err
	case len(found) == 0:
		return deviceRequest{}, errExpiredToken()
	}
	return found[0], nil
}

// refuseDevice returns why a request opens no session now, and notes the poll of one that waits.
func (s *Service) refuseDevice(ctx context.Context, tx pgx.Tx, r deviceRequest) (*problem.Error, error) {
	now := s.now()
	switch {
	case !now.Before(r.expires):
		return errExpiredToken(), nil
	case r.approved != nil && *r.approved:
		return nil, nil
	case r.approved != nil:
		return errAccessDenied(), nil
	}
	refused, interval := errAuthorizationPending(), r.interval
	if r.polled != nil && now.Before(r.polled.Add(r.interval-devicePollMargin)) {
		interval = min(r.interval+devicePollStep, maxDevicePoll)
		refused = &problem.Error{
			Code: CodeSlowDown, Message: fmt.Sprintf("wait %v between two polls", interval),
		}
	}
	if _, err := tx.Exec(ctx, sqlNotePoll, r.id, now, int(interval.Seconds())); err != nil {
		return nil, fmt.Errorf("note poll: %w", err)
	}
	return refused, nil
}

// openDeviceSession opens the session of an approved request and deletes the request.
func (s *Service) openDeviceSession(ctx context.Context, tx pgx.Tx, r deviceRequest, client Client) (Tokens, User, error) {
	user, err := oneUser(ctx, tx, "find the approver", sqlUser, r.approver)
	if err != nil {
		return Tokens{}, User{}, err
	}
	tokens, err := s.openSession(ctx, tx, user, client, r.changedAt, false)
	if code := problem.CodeOf(err); code == CodeInvalidCredentials || code == CodeAccountSuspended {
		err = errAccessDenied() // the password changed or the user was suspended after the approval
	}
	if err != nil {
		return Tokens{}, User{}, err
	}
	tag, err := tx.Exec(ctx, sqlApproverSession, r.approverSession)
	switch {
	case err != nil:
		return Tokens{}, User{}, fmt.Errorf("read the approver's session: %w", err)
	case tag.RowsAffected() == 0:
		return Tokens{}, User{}, errAccessDenied()
	}
	if err := s.signedIn(ctx, tx, EventSignedIn, user.ID, &tokens, client, "approved elsewhere"); err != nil {
		return Tokens{}, User{}, err
	}
	if _, err := tx.Exec(ctx, sqlUseDeviceLogin, r.id); err != nil {
		return Tokens{}, User{}, fmt.Errorf("use device login: %w", err)
	}
	return tokens, user, nil
}

func errAuthorizationPending() *problem.Error {
	return &problem.Error{Code: CodeAuthorizationPending, Message: "the request is not approved yet"}
}

func errAccessDenied() *problem.Error {
	return &problem.Error{Code: CodeAccessDenied, Message: "the request was denied, or its approval is void"}
}

func errExpiredToken() *problem.Error {
	return &problem.Error{Code: CodeExpiredToken, Message: "this device code has expired, was used, or never existed: begin again"}
}
