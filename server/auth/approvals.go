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

// ApprovalLife is how long an action of an operator waits for the approval of another one.
const ApprovalLife = 24 * time.Hour

// approvedAgain is longer than a request takes: an action is not carried out twice at one time.
const approvedAgain = time.Minute

// Approval is an action of an operator that needs the approval of another one.
//
//	RequestApproval ─► pending ─► Approve ─► approved ─► the caller carries it out ─► ApprovalDone
//	                      ├─► Reject ─► rejected
//	                      └─► expires after a day
type Approval struct {
	ID          uuid.UUID
	Action      string // as in operator_actions, with its parameters
	Subject     string // the id of what the action is about
	About       string // the same for people, such as @ada
	Reason      string
	RequestedBy string // handle
	RequestedAt time.Time
	ExpiresAt   time.Time
	State       string // pending, approved, rejected or expired
	DecidedBy   string // handle; empty while it is pending
	DecidedAt   *time.Time
	DoneAt      *time.Time // nil until the action has been carried out
}

const approvalColumns = `
       a.id, a.action, a.subject, a.about, a.reason, r.handle, a.requested_at, a.expires_at,
       CASE WHEN a.state = 'pending' AND a.expires_at <= $1 THEN 'expired' ELSE a.state END,
       COALESCE(d.handle, ''), a.decided_at, a.done_at`

const (
	sqlExpireApproval = `
UPDATE operator_approvals SET state = 'expired'
 WHERE action = $1 AND subject = $2 AND state = 'pending' AND expires_at <= $3`

	sqlRequestApproval = `
INSERT INTO operator_approvals (id, action, subject, about, reason, requested_by, requested_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (action, subject) WHERE state = 'pending' DO NOTHING`

	sqlPendingApproval = `SELECT id FROM operator_approvals WHERE action = $1 AND subject = $2 AND state = 'pending'`

	sqlApprovals = `
SELECT ` + approvalColumns + `
  FROM operator_approvals a JOIN users r ON r.id = a.requested_by LEFT JOIN users d ON d.id = a.decided_by
 ORDER BY a.requested_at DESC, a.id DESC LIMIT $2`

	sqlApproval = `
SELECT ` + approvalColumns + `
  FROM operator_approvals a JOIN users r ON r.id = a.requested_by LEFT JOIN users d ON d.id = a.decided_by
 WHERE a.id = $2`

	sqlLockApproval = `
SELECT requested_by, COALESCE(decided_by, requested_by), COALESCE(decided_at, requested_at), state, expires_at, done_at IS NOT NULL
  FROM operator_approvals
 WHERE id = $1
   FOR UPDATE`

	sqlDecideApproval = `UPDATE operator_approvals SET state = $2, decided_by = $3, decided_at = $4 WHERE id = $1`
	sqlApprovalDone   = `UPDATE operator_approvals SET done_at = $2 WHERE id = $1 AND done_at IS NULL`
)

// NewApproval asks for an approval.
type NewApproval struct {
	Action, Subject, About, Reason string
}

// RequestApproval stores that an operator wants to do something that another operator must approve.
// If the same action waits for an approval already, it returns the id of that request.
func (s *Service) RequestApproval(ctx context.Context, operator UserID, request NewApproval) (uuid.UUID, error) {
	id, now := newID(), s.now()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlExpireApproval, request.Action, request.Subject, now); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, sqlRequestApproval, id, request.Action, request.Subject, request.About, request.Reason, operator, now, now.Add(ApprovalLife))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return tx.QueryRow(ctx, sqlPendingApproval, request.Action, request.Subject).Scan(&id)
		}
		_, err = tx.Exec(ctx, sqlRecordAction, operator, "approval.request", id.String(), request.Reason)
		return err
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("request the approval of %s: %w", request.Action, err)
	}
	return id, nil
}

// Approvals returns the latest requests, newest first, at most limit.
func (s *Service) Approvals(ctx context.Context, limit int) ([]Approval, error) {
	rows, err := s.pool.Query(ctx, sqlApprovals, s.now(), limit)
	if err != nil {
		return nil, fmt.Errorf("list approvals: %w", err)
	}
	approvals, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Approval])
	if err != nil {
		return nil, fmt.Errorf("list approvals: %w", err)
	}
	return approvals, nil
}

// Approval returns a request. The error has the code approval_not_found if there is none.
func (s *Service) Approval(ctx context.Context, id uuid.UUID) (Approval, error) {
	rows, err := s.pool.Query(ctx, sqlApproval, s.now(), id)
	if err != nil {
		return Approval{}, fmt.Errorf("read approval: %w", err)
	}
	approval, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Approval])
	if errors.Is(err, pgx.ErrNoRows) {
		return Approval{}, &problem.Error{Code: CodeApprovalNotFound, Message: "there is no such request for an approval"}
	}
	if err != nil {
		return Approval{}, fmt.Errorf("read approval: %w", err)
	}
	return approval, nil
}

// Decide approves or rejects a request of another operator, once. The operator who approved it may
// approve it again a minute later if the action was not carried out, so that a failure loses
// nothing.
// The reason is stored with the actions of operators. The error has the code own_request for a
// request of the operator, and approval_decided if it was decided before or has expired.
//
// Of all that decide at the same moment, one succeeds: the row is locked.
func (s *Service) Decide(ctx context.Context, p Principal, approval Approval, approve bool, reason string) error {
	state, action := "rejected", "approval.reject"
	if approve {
		state, action = "approved", "approval.approve"
	}
	var requestedBy UserID
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var (
			decidedBy UserID
			decidedAt time.Time
			current   string
			expires   time.Time
			done      bool
		)
		if err := tx.QueryRow(ctx, sqlLockApproval, approval.ID).Scan(&requestedBy, &decidedBy, &decidedAt, &current, &expires, &done); err != nil {
			return err
		}
		now := s.now()
		again := approve && current == "approved" && decidedBy == p.UserID && !done && now.Sub(decidedAt) > approvedAgain
		switch {
		case requestedBy == p.UserID:
			return &problem.Error{Code: CodeOwnRequest, Message: "you asked for this yourself: another operator has to decide"}
		case again:
			return nil
		case current != "pending":
			return &problem.Error{Code: CodeApprovalDecided, Message: "this request was " + current + " before"}
		case !now.Before(expires):
			return &problem.Error{Code: CodeApprovalDecided, Message: "this request has expired: ask for the action again"}
		default:
			if _, err := tx.Exec(ctx, sqlDecideApproval, approval.ID, state, p.UserID, now); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, sqlRecordAction, p.UserID, action, approval.ID.String(), reason); err != nil {
			return err
		}
		if !approve {
			return nil
		}
		return s.record(ctx, tx, EventActionApproved, requestedBy, uuid.Nil, Client{}, approval.Action+" "+approval.About+", by @"+p.Handle)
	})
	if err != nil {
		return fmt.Errorf("decide about an approval: %w", err)
	}
	if approve {
		s.events.write(ctx, EventActionApproved, slog.String("user", p.Handle), slog.String("action", approval.Action), slog.String("subject", EventText(approval.Subject)))
	}
	return nil
}

// ApprovalDone records that an approved action was carried out.
func (s *Service) ApprovalDone(ctx context.Context, id uuid.UUID) error {
	if _, err := s.pool.Exec(ctx, sqlApprovalDone, id, s.now()); err != nil {
		return fmt.Errorf("record an approved action: %w", err)
	}
	return nil
}
