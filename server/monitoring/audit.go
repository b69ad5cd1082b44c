package monitoring

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/server/ledger"
)

// AuditStatus remembers the result of the last audit that this process ran. It is a
// [prometheus.Collector]. The zero value is ready for use.
type AuditStatus struct{ last atomic.Pointer[AuditResult] }

// AuditResult is the result of one audit.
type AuditResult struct {
	At time.Time
	OK bool // every invariant holds
}

// Record stores the result of an audit.
func (s *AuditStatus) Record(r ledger.Report) { s.last.Store(&AuditResult{At: r.At, OK: r.OK()}) }

// Last returns the result of the last audit, or nil before the first.
func (s *AuditStatus) Last() *AuditResult { return s.last.Load() }

var (
	auditOK   = describe("kizo_audit_ok", "1 if every invariant held in the last audit that this process ran; absent before the first.")
	auditTime = describe("kizo_audit_timestamp_seconds", "When that audit ran.")
)

// Describe implements [prometheus.Collector].
func (s *AuditStatus) Describe(out chan<- *prometheus.Desc) {
	out <- auditOK
	out <- auditTime
}

// Collect implements [prometheus.Collector].
func (s *AuditStatus) Collect(out chan<- prometheus.Metric) {
	if last := s.Last(); last != nil {
		gauge(out, auditOK, oneIf(last.OK))
		gauge(out, auditTime, float64(last.At.UnixMilli())/1000)
	}
}
