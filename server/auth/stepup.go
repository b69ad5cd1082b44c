package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/problem"
)

// A step-up is a recent second factor of a session. Users with a second factor need one for what a
// stolen token must not do: withdrawals, API keys, a higher limit, another password, and transfers
// above a threshold that they choose for each currency.
//
//	POST /v1/auth/step-up ─► StepUp: the code is right ─► sessions.stepped_up_at
//	                                                            │ access_changes, within the lease
//	request ─► Verify ─► Principal ◄──────────────── session cache of each process
//	                        ├ NeedsStepUp       operations that always need one
//	                        └ NeedsStepUpFor    transfers
//
// A log-in with a code is a step-up as well. It is valid for StepUpLifetime, for its session only,
// and ends with the session and with a change of the password. API keys are never asked: their
// spending limits bound them.
//
// Thresholds belong to the second factor. One may be lowered at any time; raising or removing it
// needs a step-up, which is read from the row of the session, in the transaction of the change.

// StepUpLifetime is how long a session needs no other code.
const StepUpLifetime = 5 * time.Minute

// stepUpState is what the session cache knows about the second factor of the user of a session. It
// is never changed.
type stepUpState struct {
	at         time.Time        // of the last step-up of the session; zero if there was none
	thresholds map[string]int64 // minor units, by currency
}

func newStepUpState(at *time.Time, currencies []string, amounts []int64) *stepUpState {
	u := &stepUpState{thresholds: make(map[string]int64, len(currencies))}
	if at != nil {
		u.at = *at
	}
	for i, currency := range currencies {
		u.thresholds[currency] = amounts[i]
	}
	return u
}

// recent reports whether the session has a recent second factor.
func (u *stepUpState) recent(now time.Time) bool { return now.Before(u.at.Add(StepUpLifetime)) }

// NeedsStepUp reports whether the user has a second factor and the session no recent one.
func (p Principal) NeedsStepUp() bool { return p.due != nil }

// NeedsStepUpFor is NeedsStepUp for a transfer: it reports false up to the threshold of the user,
// and without one. minor is the amount in minor units.
func (p Principal) NeedsStepUpFor(currency string, minor int64) bool {
	if p.due == nil {
		return false
	}
	threshold, ok := p.due.thresholds[currency]
	return ok && minor > threshold
}

// StepUpRequired returns the error for a request that needs a step-up.
func StepUpRequired() *problem.Error {
	return &problem.Error{
		Code:    CodeStepUpRequired,
		Message: "a recent code of your second factor is required: send one to POST /v1/auth/step-up, and then this request again; nothing was done",
	}
}

const (
	sqlStepUp       = `UPDATE sessions SET stepped_up_at = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3`
	sqlForgetStepUp = `UPDATE sessions SET stepped_up_at = NULL WHERE id = $1 AND stepped_up_at IS NOT NULL AND revoked_at IS NULL`
	sqlSteppedUpAt  = `SELECT stepped_up_at FROM sessions WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL`
)

// StepUp accepts a code of the app or a recovery code for a session, and returns until when the
// session needs no other one. It returns after the lease, when each process knows. Wrong codes are
// counted by user, over all sessions and addresses, with the rule of log-ins, and apart from
// log-ins: who does not have a session cannot keep the user from a step-up.
func (s *Service) StepUp(ctx context.Context, p Principal, code string, client Client) (until time.Time, err error) {
	attempt, err := s.throttle.beginStepUp(ctx, p.UserID)
	if err != nil {
		return time.Time{}, fmt.Errorf("step up: %w", err)
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		f, err := s.readSecondFactor(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		if f == nil || !f.confirmed {
			return errNoSecondFactor()
		}
		if err := s.useCode(ctx, tx, f, code, client); err != nil {
			return err
		}
		if until, err = s.stepUpSession(ctx, tx, p); err != nil {
			return err
		}
		if err := s.record(ctx, tx, EventSteppedUp, p.UserID, p.SessionID, client, ""); err != nil {
			return err
		}
		return attempt.right(ctx, tx)
	})
	if err != nil {
		s.stepUpFailed(ctx, attempt, p, client, err)
		return time.Time{}, fmt.Errorf("step up: %w", err)
	}
	s.logFactor(ctx, EventSteppedUp, p, client)
	s.waitForCacheExpiry()
	return until, nil
}

// stepUpSession records a step-up of a session that is open.
func (s *Service) stepUpSession(ctx context.Context, tx pgx.Tx, p Principal) (until time.Time, err error) {
	now := s.now()
	tag, err := tx.Exec(ctx, sqlStepUp, p.SessionID, p.UserID, now)
	if err != nil {
		return time.Time{}, fmt.Errorf("step up session: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return time.Time{}, &problem.Error{Code: CodeSessionRevoked, Message: "the session has ended; log in again"}
	}
	return now.Add(StepUpLifetime), nil
}

// stepUpFailed records a wrong code, which was counted before, and gives the attempt back after any
// other error.
func (s *Service) stepUpFailed(ctx context.Context, a attempt, p Principal, client Client, err error) {
	if problem.CodeOf(err) != CodeOTPInvalid {
		a.giveBack(ctx)
		return
	}
	s.recordFailure(ctx, EventStepUpFailed, p.UserID, p.SessionID, client)
	s.logFactor(ctx, EventStepUpFailed, p, client)
}

// recordFailure stores an event outside of the transaction that failed, even if ctx ends.
func (s *Service) recordFailure(ctx context.Context, event SecurityEvent, userID UserID, sessionID uuid.UUID, client Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	_ = s.record(ctx, s.pool, event, userID, sessionID, client, "") // the log and the metric have it in any case
}

// checkStepUp refuses unless the session has a recent second factor.
func (s *Service) checkStepUp(ctx context.Context, tx pgx.Tx, userID UserID, sessionID uuid.UUID) error {
	var at *time.Time
	err := tx.QueryRow(ctx, sqlSteppedUpAt, sessionID, userID).Scan(&at)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read step-up: %w", err)
	}
	if at == nil || !s.now().Before(at.Add(StepUpLifetime)) {
		return StepUpRequired()
	}
	return nil
}

// StepUpThreshold is the amount above which a transfer needs a step-up.
type StepUpThreshold struct {
	Currency string
	Amount   int64 // minor units; 0: every transfer needs one
}

// StepUpStatus is what a session needs a step-up for.
type StepUpStatus struct {
	Enabled    bool      // the user has a second factor
	Until      time.Time // the end of the step-up of the session; zero if it has no recent one
	Thresholds []StepUpThreshold
}

const (
	sqlStepUpThresholds = `SELECT currency, amount FROM step_up_thresholds WHERE user_id = $1 ORDER BY currency`
	// The lock makes changes of the thresholds, and the removal of the second factor, wait.
	sqlLockSecondFactor      = `SELECT user_id FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL FOR NO KEY UPDATE`
	sqlStepUpThreshold       = `SELECT amount FROM step_up_thresholds WHERE user_id = $1 AND currency = $2`
	sqlDeleteStepUpThreshold = `DELETE FROM step_up_thresholds WHERE user_id = $1 AND currency = $2`
	sqlSetStepUpThreshold    = `
INSERT INTO step_up_thresholds (user_id, currency, amount) VALUES ($1, $2, $3)
ON CONFLICT (user_id, currency) DO UPDATE SET amount = excluded.amount`
)

// StepUpStatus returns the thresholds of the user of a session, and how long the session needs no
// other code.
func (s *Service) StepUpStatus(ctx context.Context, p Principal) (StepUpStatus, error) {
	enabled, _, err := s.SecondFactor(ctx, p.UserID)
	if err != nil || !enabled {
		return StepUpStatus{}, err
	}
	status := StepUpStatus{Enabled: true}
	var at *time.Time
	if err := s.pool.QueryRow(ctx, sqlSteppedUpAt, p.SessionID, p.UserID).Scan(&at); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return StepUpStatus{}, fmt.Errorf("read step-up: %w", err)
	}
	if at != nil && s.now().Before(at.Add(StepUpLifetime)) {
		status.Until = at.UTC().Add(StepUpLifetime)
	}
	rows, err := s.pool.Query(ctx, sqlStepUpThresholds, p.UserID)
	if err != nil {
		return StepUpStatus{}, fmt.Errorf("read thresholds: %w", err)
	}
	if status.Thresholds, err = pgx.CollectRows(rows, pgx.RowToStructByPos[StepUpThreshold]); err != nil {
		return StepUpStatus{}, fmt.Errorf("read thresholds: %w", err)
	}
	return status, nil
}

// SetStepUpThreshold sets the threshold of the user for transfers in a currency: an amount of 0 or
// more in minor units, or nil for none. It returns after the lease, when each process uses it. The
// error has the code step_up_required if the change is upward and the session has no recent second
// factor, and second_factor_missing if the user has no second factor.
func (s *Service) SetStepUpThreshold(ctx context.Context, p Principal, currency string, amount *int64, client Client) error {
	changed := false
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		before, err := lockThreshold(ctx, tx, p.UserID, currency)
		if err != nil {
			return err
		}
		if before == nil && amount == nil || before != nil && amount != nil && *before == *amount {
			return nil
		}
		if before != nil && (amount == nil || *amount > *before) {
			if err := s.checkStepUp(ctx, tx, p.UserID, p.SessionID); err != nil {
				return err
			}
		}
		if changed = true; amount == nil {
			_, err = tx.Exec(ctx, sqlDeleteStepUpThreshold, p.UserID, currency)
		} else {
			_, err = tx.Exec(ctx, sqlSetStepUpThreshold, p.UserID, currency, *amount)
		}
		if err != nil {
			return fmt.Errorf("store threshold: %w", err)
		}
		detail := fmt.Sprintf("%s: %s, before %s", currency, thresholdText(amount, currency), thresholdText(before, currency))
		return s.record(ctx, tx, EventStepUpChanged, p.UserID, p.SessionID, client, detail)
	})
	if err != nil {
		return fmt.Errorf("set step-up threshold: %w", err)
	}
	if changed {
		s.events.write(ctx, EventStepUpChanged, append([]slog.Attr{slog.String("user", p.Handle)}, clientAttrs(client)...)...)
		s.waitForCacheExpiry()
	}
	return nil
}

// lockThreshold locks the second factor of a user, and returns the threshold or nil.
func lockThreshold(ctx context.Context, tx pgx.Tx, userID UserID, currency string) (*int64, error) {
	var (
		found  UserID
		amount int64
	)
	err := tx.QueryRow(ctx, sqlLockSecondFactor, userID).Scan(&found)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errNoSecondFactor()
	}
	if err != nil {
		return nil, fmt.Errorf("lock second factor: %w", err)
	}
	err = tx.QueryRow(ctx, sqlStepUpThreshold, userID, currency).Scan(&amount)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read threshold: %w", err)
	}
	return &amount, nil
}

func thresholdText(amount *int64, currency string) string {
	if amount == nil {
		return "none"
	}
	return money.Format(*amount, money.Currency(currency))
}
