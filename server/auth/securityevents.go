package auth

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/JDevAman/kizo/server/problem"
)

// SecurityEvent is the name of a security event. Events of the first group below are stored for
// their user and logged; those of the second group are only logged.
type SecurityEvent string

// The security events.
const (
	EventSignedUp            SecurityEvent = "signed_up"
	EventSignedIn            SecurityEvent = "signed_in"
	EventSignInFailed        SecurityEvent = "sign_in_failed"
	EventLockedOut           SecurityEvent = "locked_out" // failed attempts block the account for a minute or longer
	EventNewDevice           SecurityEvent = "new_device" // a sign-in without the device token of an earlier one
	EventDeviceApproved      SecurityEvent = "device_approved"
	EventDeviceDenied        SecurityEvent = "device_denied"
	EventSignedOut           SecurityEvent = "signed_out"
	EventSessionRevoked      SecurityEvent = "session_revoked"
	EventRefreshTokenReused  SecurityEvent = "refresh_token_reused"
	EventSuspended           SecurityEvent = "suspended"
	EventReinstated          SecurityEvent = "reinstated"
	EventRoleChanged         SecurityEvent = "role_changed"
	EventEmailVerified       SecurityEvent = "email_verified"
	EventHandleChanged       SecurityEvent = "handle_changed"
	EventDataExported        SecurityEvent = "data_exported" // stored once an hour for a session
	EventPasswordChanged     SecurityEvent = "password_changed"
	EventFrozen              SecurityEvent = "frozen" // by the user, or an operator
	EventUnfrozen            SecurityEvent = "unfrozen"
	EventAccountClosed       SecurityEvent = "account_closed"
	EventSecondFactorAdded   SecurityEvent = "second_factor_added"
	EventSecondFactorRemoved SecurityEvent = "second_factor_removed"
	EventRecoveryCodeUsed    SecurityEvent = "recovery_code_used"
	EventSecondFactorFailed  SecurityEvent = "second_factor_failed" // right password, wrong code
	EventSteppedUp           SecurityEvent = "stepped_up"
	EventStepUpFailed        SecurityEvent = "step_up_failed"
	EventStepUpChanged       SecurityEvent = "step_up_changed"    // a threshold
	EventViewedByOperator    SecurityEvent = "viewed_by_operator" // stored once an hour for an operator and a kind of data
	EventActionApproved      SecurityEvent = "action_approved"    // stored for the operator who asked
	EventKeyCreated          SecurityEvent = "key_created"
	EventKeyRotated          SecurityEvent = "key_rotated"
	EventKeyRevoked          SecurityEvent = "key_revoked"
	EventLimitChanged        SecurityEvent = "limit_changed"
	EventKeyRefused          SecurityEvent = "key_refused" // expired, revoked, or from another network; stored once an hour

	EventPasswordResetRequested SecurityEvent = "password_reset_requested" // a code was made for a mail
	EventEmailChangeRequested   SecurityEvent = "email_change_requested"
	EventEmailChanged           SecurityEvent = "email_changed"

	EventSignInThrottled SecurityEvent = "sign_in_throttled"
	EventSignInRefused   SecurityEvent = "sign_in_refused" // right password, suspended user
	EventRefreshRefused  SecurityEvent = "refresh_refused" // unknown, expired or revoked token
	EventTokenRefused    SecurityEvent = "token_refused"   // a forged or damaged access token
	EventForbidden       SecurityEvent = "forbidden"       // a request that its user may not make
	EventRateLimited     SecurityEvent = "rate_limited"    // a request beyond a limit
	EventOperatorAction  SecurityEvent = "operator_action" // also a row in operator_actions
)

// securityEvents are all of them.
var securityEvents = []SecurityEvent{
	EventSignedUp, EventSignedIn, EventSignInFailed, EventSignedOut, EventSessionRevoked, EventRefreshTokenReused,
	EventLockedOut, EventNewDevice, EventDeviceApproved, EventDeviceDenied,
	EventSuspended, EventReinstated, EventRoleChanged, EventEmailVerified, EventHandleChanged, EventDataExported, EventPasswordChanged, EventFrozen, EventUnfrozen, EventAccountClosed,
	EventSecondFactorAdded, EventSecondFactorRemoved, EventRecoveryCodeUsed, EventSecondFactorFailed,
	EventSteppedUp, EventStepUpFailed, EventStepUpChanged,
	EventViewedByOperator, EventActionApproved,
	EventKeyCreated, EventKeyRotated, EventKeyRevoked, EventLimitChanged, EventKeyRefused,
	EventPasswordResetRequested, EventEmailChangeRequested, EventEmailChanged,
	EventSignInThrottled, EventSignInRefused, EventRefreshRefused, EventTokenRefused, EventForbidden, EventRateLimited, EventOperatorAction,
}

// Limits of the log entries for one kind of event, and of a text in them.
const (
	maxEventBurst     = 100
	maxEventsPerSec   = 10
	maxEventTextRunes = 120
)

// eventLog writes security events to the log, with a rate limit for each kind: many events of
// one kind neither fill the disk nor hide another kind. Omitted events are counted in the
// metric and in the next log entry of their kind.
type eventLog struct {
	log   *slog.Logger
	count func(SecurityEvent)

	mu      sync.Mutex
	budgets map[SecurityEvent]*eventBudget
}

type eventBudget struct {
	tokens  float64
	at      time.Time
	omitted int64
}

func (t *eventLog) write(ctx context.Context, event SecurityEvent, attrs ...slog.Attr) {
	t.count(event)
	omitted, ok := t.take(event, time.Now())
	if !ok {
		return
	}
	all := append([]slog.Attr{slog.String("event", string(event))}, attrs...)
	if omitted > 0 {
		all = append(all, slog.Int64("omitted_before", omitted))
	}
	level := slog.LevelInfo
	if event == EventRefreshTokenReused {
		level = slog.LevelWarn
	}
	t.log.LogAttrs(ctx, level, "security event", all...)
}

// take reports whether an event may be logged now, and how many were omitted before it.
func (t *eventLog) take(event SecurityEvent, now time.Time) (omitted int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.budgets[event]
	if b == nil {
		b = &eventBudget{tokens: maxEventBurst, at: now}
		if t.budgets == nil {
			t.budgets = make(map[SecurityEvent]*eventBudget)
		}
		t.budgets[event] = b
	}
	b.tokens = min(b.tokens+now.Sub(b.at).Seconds()*maxEventsPerSec, maxEventBurst)
	b.at = now
	if b.tokens < 1 {
		b.omitted++
		return 0, false
	}
	b.tokens--
	omitted, b.omitted = b.omitted, 0
	return omitted, true
}

// LogSecurityEvent writes an event to the log. The caller applies [EventText] to texts that
// come from a client.
func (s *Service) LogSecurityEvent(ctx context.Context, event SecurityEvent, attrs ...slog.Attr) {
	s.events.write(ctx, event, attrs...)
}

// EventText makes a text from a client safe for the log: printable, and at most 120
// characters. The log handler quotes it.
func EventText(s string) string { return text.Clean(s, maxEventTextRunes) }

func clientAttrs(c Client) []slog.Attr {
	c = c.clean()
	return []slog.Attr{slog.String("address", c.Address), slog.String("client", c.UserAgent)}
}

// loginAttr returns the user of a log-in. The login itself is not logged, since a user may have
// typed a password there; for an unknown login it is a number that is the same for each attempt.
func (s *Service) loginAttr(user User, identifier string) slog.Attr {
	if user.Handle != "" {
		return slog.String("user", user.Handle)
	}
	key := s.throttle.accountKey(identifier)
	return slog.String("unknown_login", hex.EncodeToString(key[:6]))
}

// logSignIn logs the result of a log-in.
func (s *Service) logSignIn(ctx context.Context, user User, identifier string, client Client, err error) {
	event := EventSignedIn
	switch problem.CodeOf(err) {
	case "":
		if err != nil {
			return // an internal failure, which the API logs
		}
	case CodeInvalidCredentials:
		event = EventSignInFailed
	case CodeTooManyAttempts:
		event = EventSignInThrottled
	case CodeAccountSuspended:
		event = EventSignInRefused
	default:
		return
	}
	s.events.write(ctx, event, append([]slog.Attr{s.loginAttr(user, identifier)}, clientAttrs(client)...)...)
}

// execer is a pool or a transaction.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

const sqlRecordEvent = `
INSERT INTO security_events (at, user_id, event, session_id, client, address, detail)
VALUES ($1, $2, $3, nullif($4::uuid, '00000000-0000-0000-0000-000000000000'), $5, $6, $7)`

// record stores an event for its user.
func (s *Service) record(ctx context.Context, db execer, event SecurityEvent, userID UserID, sessionID uuid.UUID, client Client, detail string) error {
	client = client.clean()
	_, err := db.Exec(ctx, sqlRecordEvent, s.now(), userID, event, sessionID, client.UserAgent, client.Address, text.Clean(detail, maxReasonRunes))
	if err != nil {
		return fmt.Errorf("record %s: %w", event, err)
	}
	return nil
}

// RecordLimitChange returns a function that stores, in the transaction that changes a limit of the
// user, that it did, with what the limit is now. It refuses a higher limit without a step-up.
func (s *Service) RecordLimitChange(p Principal, client Client) func(ctx context.Context, tx pgx.Tx, limit string, raised bool) error {
	return func(ctx context.Context, tx pgx.Tx, limit string, raised bool) error {
		if raised && p.NeedsStepUp() {
			return StepUpRequired()
		}
		return s.record(ctx, tx, EventLimitChanged, p.UserID, p.SessionID, client, limit)
	}
}

// EventRecord is a stored security event.
type EventRecord struct {
	ID        int64
	At        time.Time
	Event     SecurityEvent
	SessionID *uuid.UUID
	Client    string // user agent, cleaned
	Address   string // IP address, or empty
	Detail    string
}

const sqlEventsOfUser = `
SELECT id, at, event, session_id, client, address, detail
  FROM security_events
 WHERE user_id = $1
 ORDER BY id DESC
 LIMIT $2`

// History returns the latest security events of a user, newest first, at most limit.
func (s *Service) History(ctx context.Context, userID UserID, limit int) ([]EventRecord, error) {
	rows, err := s.pool.Query(ctx, sqlEventsOfUser, userID, limit)
	if err != nil {
		return nil, fmt.Errorf("list security events: %w", err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[EventRecord])
	if err != nil {
		return nil, fmt.Errorf("list security events: %w", err)
	}
	return events, nil
}

// keepEvents is how long a security event is kept. A trigger prevents the deletion of events
// of the last 90 days.
const keepEvents = 180 * 24 * time.Hour

const sqlPruneEvents = `
DELETE FROM security_events
 WHERE id = ANY(ARRAY(
       SELECT id FROM security_events
        WHERE at < $1
        ORDER BY at LIMIT $2))`
