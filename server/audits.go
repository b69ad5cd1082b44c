package server

import (
	"context"
	"time"

	"github.com/JDevAman/kizo/server/ledger"
)

// auditCheckInterval is how often the janitor checks whether an audit is due.
const auditCheckInterval = time.Minute

// runAudits makes the audits that are due until ctx ends.
func (s *Server) runAudits(ctx context.Context) error {
	schedule := &ledger.AuditSchedule{
		Auditor: s.auditor, Every: s.config.AuditInterval, FullEvery: s.config.AuditFullInterval, Started: time.Now(),
	}
	ticker := time.NewTicker(min(auditCheckInterval, s.config.AuditInterval))
	defer ticker.Stop()
	for {
		if err := s.auditOnce(ctx, schedule); err != nil && ctx.Err() == nil {
			s.log.Warn("an audit could not be completed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// auditOnce makes an audit if one is due. The log names the first broken invariant; a full audit by
// an operator names its rows.
func (s *Server) auditOnce(ctx context.Context, schedule *ledger.AuditSchedule) error {
	report, ran, err := schedule.RunOnce(ctx, time.Now())
	if err != nil {
		return err
	}
	if ran {
		s.monitor.audit.Record(report)
		if first, broken := report.FirstBroken(); broken {
			s.log.Error("an audit found a broken invariant: run kizod audit", "mode", report.Mode, "check", first.Name, "rows", first.BrokenRows)
		} else {
			s.log.Info("an audit found no broken invariant", "mode", report.Mode, "signed", report.Signed)
		}
	}
	signed, err := s.auditor.SignedAudits(ctx)
	if err != nil {
		return err
	}
	s.monitor.audit.RecordSigned(signed)
	return nil
}
