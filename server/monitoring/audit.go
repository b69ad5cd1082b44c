package monitoring

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/server/ledger"
)

// AuditStatus remembers the results of the last audits that this process ran, and when an audit was
// last signed. It is a [prometheus.Collector]. The zero value is ready for use.
type AuditStatus struct {
	full, incremental atomic.Pointer[AuditResult]
	signed            atomic.Pointer[ledger.AuditTimes]
}

// AuditResult is the result of one audit.
type AuditResult struct {
	At time.Time
	OK bool // every invariant holds
}

// Record stores the result of an audit.
func (s *AuditStatus) Record(r ledger.Report) {
	result := &AuditResult{At: r.At, OK: r.OK()}
	if r.Mode == ledger.IncrementalAudit {
		s.incremental.Store(result)
	} else {
		s.full.Store(result)
	}
	switch {
	case r.Signed && r.Mode == ledger.IncrementalAudit:
		s.RecordSigned(ledger.AuditTimes{Last: r.At, LastFull: r.FullAt})
	case r.Signed:
		s.RecordSigned(ledger.AuditTimes{Last: r.At, LastFull: r.At})
	}
}

// RecordSigned stores when audits were last signed, by any process.
func (s *AuditStatus) RecordSigned(t ledger.AuditTimes) { s.signed.Store(&t) }

// Last returns the result of the last audit, or nil before the first.
func (s *AuditStatus) Last() *AuditResult {
	full, incremental := s.full.Load(), s.incremental.Load()
	if full == nil || incremental != nil && incremental.At.After(full.At) {
		return incremental
	}
	return full
}

var (
	auditOK = describe("kizo_audit_ok", "1 if every invariant held in the last audit of this mode that this process ran; "+
		"absent before the first.", "mode")
	auditTime   = describe("kizo_audit_timestamp_seconds", "When that audit ran.", "mode")
	auditSigned = describe("kizo_audit_signed_timestamp_seconds", "When any process last made an audit (mode any), or a full one, "+
		"that found no broken invariant and was signed; reported by the janitor, and by processes that have made one.", "mode")
)

// Describe implements [prometheus.Collector].
func (s *AuditStatus) Describe(out chan<- *prometheus.Desc) {
	out <- auditOK
	out <- auditTime
	out <- auditSigned
}

// Collect implements [prometheus.Collector].
func (s *AuditStatus) Collect(out chan<- prometheus.Metric) {
	for mode, last := range map[ledger.AuditMode]*AuditResult{
		ledger.FullAudit: s.full.Load(), ledger.IncrementalAudit: s.incremental.Load(),
	} {
		if last != nil {
			gauge(out, auditOK, oneIf(last.OK), string(mode))
			gauge(out, auditTime, float64(last.At.UnixMilli())/1000, string(mode))
		}
	}
	if signed := s.signed.Load(); signed != nil && !signed.Last.IsZero() {
		gauge(out, auditSigned, float64(signed.Last.UnixMilli())/1000, "any")
		gauge(out, auditSigned, float64(signed.LastFull.UnixMilli())/1000, string(ledger.FullAudit))
	}
}
