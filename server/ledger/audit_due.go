package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

// AuditSchedule makes audits at intervals. Any number of processes may run the same schedule: they
// take turns by an advisory lock, and see in signed_audits what the others have done. It is not
// safe for concurrent use.
type AuditSchedule struct {
	Auditor   *Auditor
	Every     time.Duration // between two audits
	FullEvery time.Duration // between two full ones
	Started   time.Time     // of the process: a database without a signed audit gets the first one Every later

	attempted time.Time // the end of the last audit, which may have failed
}

// AuditTimes are the times of the newest signed audit, and of the full one that it continues. Both
// are the zero time if none was signed.
type AuditTimes struct{ Last, LastFull time.Time }

// SignedAudits returns the times of the newest signed audit.
func (a *Auditor) SignedAudits(ctx context.Context) (t AuditTimes, err error) {
	const read = `SELECT at, full_at FROM signed_audits ORDER BY id DESC LIMIT 1`
	err = a.Pool.QueryRow(ctx, read).Scan(&t.Last, &t.LastFull)
	if errors.Is(err, pgx.ErrNoRows) {
		return AuditTimes{}, nil
	}
	if err != nil {
		return AuditTimes{}, fmt.Errorf("read the last signed audit: %w", err)
	}
	return t, nil
}

// RunOnce makes an audit if one is due at this time and no other process is making one. If the last
// signed audit cannot be continued, it makes a full one. It makes another attempt at an audit that
// has failed after the shorter interval. ran is false if there was nothing to do.
func (s *AuditSchedule) RunOnce(ctx context.Context, now time.Time) (report Report, ran bool, err error) {
	signed, err := s.Auditor.SignedAudits(ctx)
	if err != nil || s.due(signed, now) == "" {
		return report, false, err
	}
	conn, err := s.Auditor.Pool.Acquire(ctx)
	if err != nil {
		return report, false, fmt.Errorf("audit: %w", err)
	}
	defer conn.Release()
	const lock = `SELECT pg_try_advisory_lock(hashtextextended('kizo audit', 0))`
	var locked bool
	if err := conn.QueryRow(ctx, lock).Scan(&locked); err != nil || !locked {
		return report, false, err
	}
	defer func() {
		const unlock = `SELECT pg_advisory_unlock(hashtextextended('kizo audit', 0))`
		if _, err := conn.Exec(context.WithoutCancel(ctx), unlock); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // which ends the lock
		}
	}()
	// Another process may have made it since signed was read.
	if signed, err = s.Auditor.SignedAudits(ctx); err != nil {
		return report, false, err
	}
	switch s.due(signed, now) {
	case "":
		return report, false, nil
	case IncrementalAudit:
		report, err = s.Auditor.Incremental(ctx)
		if problem.CodeOf(err) != NoSignedAudit {
			break
		}
		fallthrough
	default:
		report, err = s.Auditor.Full(ctx)
	}
	s.attempted = now
	return report, err == nil, err
}

// due returns the mode of the audit that is due, or "".
func (s *AuditSchedule) due(signed AuditTimes, now time.Time) AuditMode {
	switch {
	case now.Sub(s.attempted) < s.Every:
		return ""
	case signed.Last.IsZero():
		if now.Sub(s.Started) < s.Every {
			return ""
		}
		return FullAudit
	case now.Sub(signed.LastFull) >= s.FullEvery:
		return FullAudit
	case now.Sub(signed.Last) >= s.Every:
		return IncrementalAudit
	}
	return ""
}
