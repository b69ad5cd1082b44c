package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/problem"
)

// Principal is the user of a request, and the session or the API key that it came with, at the time
// of [Service.Verify] or [Service.VerifyAPIKey].
type Principal struct {
	UserID    UserID
	SessionID uuid.UUID // zero for a key
	KeyID     uuid.UUID // zero for a session
	Scopes    Scopes    // of the key; a session has none, and needs none
	Handle    string
	Role      Role

	SecondFactor bool // the user has a second factor; for a key, only if the user is an operator

	key *apiKeyState // nil for a session
	due *stepUpState // nil unless the user has a second factor, and the session no recent one
}

// IsKey reports whether the request came with an API key.
func (p Principal) IsKey() bool { return p.KeyID != uuid.Nil }

// Limit returns the id of the spending limit that counts what the principal spends, or the zero id.
func (p Principal) Limit() uuid.UUID {
	if p.key == nil || !p.key.limited {
		return uuid.Nil
	}
	return p.KeyID
}

// Allows reports whether the principal may do what needs one of these scopes. What needs none, as
// the zero value, is for sessions only.
func (p Principal) Allows(needs Scopes) bool { return !p.IsKey() || p.Scopes&needs != 0 }

// Verify returns the user and session of an access token. It verifies the token, and checks in
// the session cache or the database that the session is open and the user active. It observes
// every log-out and suspension that has returned, in any process.
func (s *Service) Verify(ctx context.Context, token string) (Principal, error) {
	stated, err := s.keyring().tokens.parse(token)
	if err != nil {
		return Principal{}, err
	}
	session, found, err := s.session(ctx, stated.sessionID)
	if err != nil {
		return Principal{}, fmt.Errorf("verify access token: %w", err)
	}
	switch {
	case found && session.userID != stated.userID:
		return Principal{}, errTokenInvalid(errors.New("session of another user"))
	case found && session.status == StatusSuspended:
		return Principal{}, errSuspended()
	case !found || session.revoked || session.status != StatusActive:
		return Principal{}, &problem.Error{Code: CodeSessionRevoked, Message: "the session has ended; log in again"}
	case !s.now().Before(session.ends):
		return Principal{}, &problem.Error{Code: CodeTokenExpired, Message: "the session has expired; log in again"}
	}
	p := Principal{
		UserID: session.userID, SessionID: stated.sessionID,
		Handle: session.handle, Role: session.role, SecondFactor: session.stepUp != nil,
	}
	if session.stepUp != nil && !session.stepUp.recent(s.now()) {
		p.due = session.stepUp
	}
	return p, nil
}

// session returns a session from the cache or the database.
func (s *Service) session(ctx context.Context, id uuid.UUID) (sessionState, bool, error) {
	if s.cache.valid() {
		if cached, ok := s.cache.sessions.Get(id); ok {
			return cached, true, nil
		}
	}
	keep := s.cache.beginLookUp()
	session, found, err := s.sessionLookUps.get(ctx, id)
	if err == nil && found && !session.revoked {
		keep(func() { s.cache.sessions.Put(id, session) })
	}
	return session, found, err
}

// sessionState is what Verify needs to know about a session and its user.
type sessionState struct {
	userID  UserID
	revoked bool
	ends    time.Time
	handle  string
	role    Role
	status  Status
	stepUp  *stepUpState // nil if the user has no second factor
}

const sqlLookUpSessions = `
SELECT s.id, s.user_id, s.revoked_at IS NOT NULL, s.expires_at, u.handle, u.role, u.status,
       (SELECT f.confirmed_at FROM second_factors f WHERE f.user_id = s.user_id), s.stepped_up_at,
       ARRAY(SELECT t.currency FROM step_up_thresholds t WHERE t.user_id = s.user_id ORDER BY t.currency),
       ARRAY(SELECT t.amount FROM step_up_thresholds t WHERE t.user_id = s.user_id ORDER BY t.currency)
  FROM sessions s JOIN users u ON u.id = s.user_id
 WHERE s.id = ANY($1)`

func (s *Service) lookUpSessions(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]sessionState, error) {
	rows, err := s.pool.Query(ctx, sqlLookUpSessions, asBytes(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[uuid.UUID]sessionState, len(ids))
	for rows.Next() {
		var (
			id         uuid.UUID
			o          sessionState
			confirmed  *time.Time // the second factor
			steppedUp  *time.Time
			currencies []string
			amounts    []int64
		)
		if err := rows.Scan((*[16]byte)(&id), (*[16]byte)(&o.userID), &o.revoked, &o.ends, &o.handle, &o.role, &o.status,
			&confirmed, &steppedUp, &currencies, &amounts); err != nil {
			return nil, err
		}
		if confirmed != nil {
			o.stepUp = newStepUpState(steppedUp, currencies, amounts)
		}
		found[id] = o
	}
	return found, rows.Err()
}

// asBytes converts ids to a type that pgx encodes without reflection.
func asBytes[T ~[16]byte](ids []T) [][16]byte {
	raw := make([][16]byte, len(ids))
	for i, id := range ids {
		raw[i] = id
	}
	return raw
}
