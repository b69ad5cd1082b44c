package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	sqlRecordAction = `
INSERT INTO operator_actions (operator, action, subject, reason)
VALUES ($1, $2, $3, $4)`

	sqlActions = `
SELECT a.id, COALESCE(u.handle, CASE a.operator WHEN '00000000-0000-0000-0000-000000000000' THEN 'kizod' ELSE '' END), a.action, a.subject, a.reason, a.at
  FROM operator_actions a LEFT JOIN users u ON u.id = a.operator
 ORDER BY a.id DESC LIMIT $1`
)

// ActionRecord is an action of an operator, successful or not.
type ActionRecord struct {
	ID       int64
	Operator string // handle; kizod for a command on the server
	Action   string
	Subject  string
	Reason   string
	At       time.Time
}

// RecordAction stores an action of an operator, which is never deleted. The database
// rejects an action of more than 60 characters, a subject of more than 200, and a reason
// that is empty or longer than 500.
func (s *Service) RecordAction(ctx context.Context, operator UserID, action, subject, reason string) error {
	if _, err := s.pool.Exec(ctx, sqlRecordAction, operator, action, subject, reason); err != nil {
		return fmt.Errorf("record the action %s: %w", action, err)
	}
	s.events.write(ctx, EventOperatorAction, slog.String("operator_id", operator.String()), slog.String("action", action),
		slog.String("subject", EventText(subject)), slog.String("reason", EventText(reason)))
	return nil
}

// Actions returns the latest actions of operators, newest first, at most limit.
func (s *Service) Actions(ctx context.Context, limit int) ([]ActionRecord, error) {
	rows, err := s.pool.Query(ctx, sqlActions, limit)
	if err != nil {
		return nil, fmt.Errorf("list actions: %w", err)
	}
	actions, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ActionRecord])
	if err != nil {
		return nil, fmt.Errorf("list actions: %w", err)
	}
	return actions, nil
}
