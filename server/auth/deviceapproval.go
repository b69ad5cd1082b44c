package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/problem"
)

// DeviceRequest is an open request of a device, as the user sees it who typed its code.
type DeviceRequest struct {
	ID          uuid.UUID
	Client      string // what the device says of itself: user agent, cleaned, at most 120 characters
	Address     string // IP address, or empty
	RequestedAt time.Time
	ExpiresAt   time.Time
	SameAddress bool // the user asks from the same address, or IPv6 network
	NeedsOTP    bool // an approval needs a code of the second factor
}

const (
	sqlFindDeviceLogin = `
SELECT d.id, d.client, d.address, d.created_at, d.expires_at, d.address_key IS NOT DISTINCT FROM $3,
       EXISTS (SELECT FROM second_factors WHERE user_id = $4 AND confirmed_at IS NOT NULL)
  FROM device_logins d
 WHERE d.user_code_hash = ANY($1) AND d.approved IS NULL AND d.expires_at > $2`

	sqlDecideDeviceLogin = `
UPDATE device_logins d SET approved = $4, decided_at = $3, decided_by = u.id, approver_session = $6, password_changed_at = u.password_changed_at
  FROM users u
 WHERE d.id = $1 AND d.user_code_hash = ANY($2) AND d.approved IS NULL AND d.expires_at > $3
   AND u.id = $5 AND u.status = 'active'
RETURNING d.client, d.address`
)

// FindDeviceLogin returns the open request with a user code, as typed: case, spaces and dashes do
// not matter. Guesses are counted like failed log-ins, by user and by address.
func (s *Service) FindDeviceLogin(ctx context.Context, userID UserID, userCode string, client Client) (DeviceRequest, error) {
	counted, err := s.throttle.beginUserCode(ctx, userID, client.Address)
	if err != nil {
		return DeviceRequest{}, err
	}
	rows, err := s.pool.Query(ctx, sqlFindDeviceLogin, s.userCodeHashes(userCode), s.now(), s.throttle.addressKey(client.Address).bytes(), userID)
	if err != nil {
		counted.giveBack(ctx)
		return DeviceRequest{}, fmt.Errorf("find device login: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[DeviceRequest])
	switch {
	case err != nil:
		counted.giveBack(ctx)
		return DeviceRequest{}, fmt.Errorf("find device login: %w", err)
	case len(found) == 0:
		return DeviceRequest{}, s.wrongUserCode(ctx, counted, client)
	}
	counted.giveBack(ctx)
	r := found[0]
	r.RequestedAt, r.ExpiresAt = r.RequestedAt.UTC(), r.ExpiresAt.UTC()
	return r, nil
}

// DeviceDecision is what a user decides about the request of a device. Formatting it does not show
// the codes.
type DeviceDecision struct {
	ID       uuid.UUID // of the request, as FindDeviceLogin has returned it
	UserCode string    // as typed
	OTP      string    // of the second factor: for an approval, if the user has one
	Approve  bool
	Client   Client // of the user
}

// Format omits the codes for every verb of fmt.
func (d DeviceDecision) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.DeviceDecision(%s, approve %t, codes %s)", d.ID, d.Approve, redacted)
}

// LogValue omits the codes from logs.
func (d DeviceDecision) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(d)) }

// DecideDeviceLogin approves or denies a request. An approval lets the device open a session of the
// user who approves. The error has the code user_code_invalid if the request is not open, or the
// code is not that of the request; wrong codes of both kinds are counted.
func (s *Service) DecideDeviceLogin(ctx context.Context, by Principal, d DeviceDecision) error {
	counted, err := s.throttle.beginUserCode(ctx, by.UserID, d.Client.Address)
	if err != nil {
		return err
	}
	event := EventDeviceDenied
	if d.Approve {
		event = EventDeviceApproved
	}
	var client, address string
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if d.Approve {
			if err := s.checkApproval(ctx, tx, by, d); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, sqlDecideDeviceLogin, d.ID, s.userCodeHashes(d.UserCode), s.now(), d.Approve, by.UserID, by.SessionID)
		if err != nil {
			return err
		}
		n := 0
		if _, err := pgx.ForEachRow(rows, []any{&client, &address}, func() error { n++; return nil }); err != nil {
			return err
		}
		if n == 0 {
			return errUserCodeInvalid()
		}
		return s.record(ctx, tx, event, by.UserID, by.SessionID, d.Client, deviceDetail(client, address))
	})
	switch problem.CodeOf(err) {
	case CodeUserCodeInvalid, CodeOTPInvalid:
		if failed := s.wrong(ctx, counted, "", d.Client); failed != nil {
			return failed
		}
		return err
	}
	counted.giveBack(ctx)
	if err != nil {
		return fmt.Errorf("decide device login: %w", err)
	}
	_ = failpoint.Point("auth.device_decided")
	s.events.write(ctx, event, append([]slog.Attr{slog.String("user", by.Handle), slog.String("device", EventText(deviceDetail(client, address)))},
		clientAttrs(d.Client)...)...)
	return nil
}

// checkApproval refuses if the user has a second factor, and neither a code nor a recent step-up of
// the session proves it.
func (s *Service) checkApproval(ctx context.Context, tx pgx.Tx, by Principal, d DeviceDecision) error {
	_, err := s.checkSecondFactor(ctx, tx, by.UserID, d.OTP, d.Client)
	if problem.CodeOf(err) == CodeOTPRequired && s.checkStepUp(ctx, tx, by.UserID, by.SessionID) == nil {
		return nil
	}
	return err
}

func deviceDetail(client, address string) string {
	if address == "" {
		address = "an unknown address"
	}
	return "for " + client + " at " + address
}

// wrongUserCode counts a wrong code for the address; for the user it is counted already.
func (s *Service) wrongUserCode(ctx context.Context, counted attempt, client Client) error {
	if err := s.wrong(ctx, counted, "", client); err != nil {
		return err
	}
	return errUserCodeInvalid()
}

func errUserCodeInvalid() *problem.Error {
	return &problem.Error{Code: CodeUserCodeInvalid, Message: "no device waits with this code: it is mistyped, has expired, or was used", Field: "user_code"}
}

// beginUserCode counts a try of a user code, by the rules of log-ins and with counts of its own, or
// refuses it. The caller must call giveBack if the code was right.
func (t *throttle) beginUserCode(ctx context.Context, userID UserID, address string) (attempt, error) {
	a := attempt{throttle: t, account: t.key(scopeUserCode, userID.String())}
	if from := t.addressKey(address); from != (throttleKey{}) {
		a.address = t.key(scopeUserCode, string(from[:]))
	}
	now := t.clock()
	scope, until, err := a.countAttempt(ctx, now)
	switch {
	case err != nil:
		return attempt{}, fmt.Errorf("count the code of a device: %w", err)
	case scope == "":
		return a, nil
	}
	refusal := t.refuse(scopeUserCode, until.Sub(now))
	refusal.Message = fmt.Sprintf("too many wrong codes; try again in %v", refusal.RetryAfter)
	return attempt{}, refusal
}
