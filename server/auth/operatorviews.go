package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// viewInterval is the time in which further looks of an operator at the same data of a user are
	// not recorded.
	viewInterval = time.Hour

	// keepViews is how long operator_views is kept. The recorded actions are never deleted.
	keepViews = 30 * 24 * time.Hour

	viewReason = "looked at the data" // operators give no reason for a look
)

const (
	sqlView = `
INSERT INTO operator_views AS v (operator, user_id, kind, viewed_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (operator, user_id, kind) DO UPDATE SET viewed_at = $4
 WHERE v.viewed_at <= $5`

	sqlPruneViews = `
DELETE FROM operator_views
 WHERE (operator, user_id, kind) IN (
       SELECT operator, user_id, kind FROM operator_views
        WHERE viewed_at < $1
        ORDER BY viewed_at LIMIT $2
          FOR UPDATE SKIP LOCKED)`
)

// RecordView records that an operator looks at data of a user: among the actions of operators, and
// among the security events of the user. The kind says which data. A further look at the same data
// within an hour is not recorded again. The caller must not show the data if it fails.
func (s *Service) RecordView(ctx context.Context, operator UserID, kind string, user UserRef) error {
	return s.recordView(ctx, operator, kind, user.ID, user.Handle)
}

// RecordListView records that an operator looks at a list with data of many users, as RecordView
// does; the users of the list get no event.
func (s *Service) RecordListView(ctx context.Context, operator UserID, kind string) error {
	return s.recordView(ctx, operator, kind, UserID{}, "many users")
}

func (s *Service) recordView(ctx context.Context, operator UserID, kind string, userID UserID, subject string) error {
	now := s.now()
	recorded := false
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlView, operator, userID, kind, now, now.Add(-viewInterval))
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		recorded = true
		if _, err := tx.Exec(ctx, sqlRecordAction, operator, "view."+kind, subject, viewReason); err != nil {
			return err
		}
		if userID.IsZero() {
			return nil
		}
		return s.record(ctx, tx, EventViewedByOperator, userID, uuid.Nil, Client{}, kind)
	})
	if err != nil {
		return fmt.Errorf("record the look at %s: %w", kind, err)
	}
	if recorded {
		s.events.write(ctx, EventViewedByOperator, slog.String("operator_id", operator.String()), slog.String("subject", EventText(subject)), slog.String("data", kind))
	}
	return nil
}
