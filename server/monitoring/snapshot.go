package monitoring

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/server/settle"
)

// SnapshotConfig of Snapshots.
type SnapshotConfig struct {
	Requests     prometheus.Collector // a histogram of the seconds of a request
	Settlement   prometheus.Collector // the same of a payment; nil where this process settles none
	Batches      *BatchMetrics
	Pool         *pgxpool.Pool
	Settler      *settle.Settler
	Dependencies *Dependencies
	Audit        *AuditStatus
}

// Snapshots takes snapshots for operators. Rates and percentiles come from the histograms of
// /metrics, as they grew since the snapshot before: a request is counted once, for both.
type Snapshots struct {
	config                        SnapshotConfig
	requests, commits, batchSizes histogramReader
	settlement                    histogramReader

	mu   sync.Mutex
	last time.Time // when the last snapshot was taken
}

// NewSnapshots makes Snapshots.
func NewSnapshots(config SnapshotConfig) *Snapshots {
	return &Snapshots{
		config:   config,
		requests: histogramReader{histogram: config.Requests}, settlement: histogramReader{histogram: config.Settlement},
		commits: histogramReader{histogram: config.Batches.seconds}, batchSizes: histogramReader{histogram: config.Batches.size},
	}
}

// Snapshot is the state of this process and its dependencies at one time. Rates and latencies
// cover the interval since the snapshot before; those of the first are empty.
type Snapshot struct {
	At       time.Time
	Interval time.Duration

	Requests                        Latency
	Commits                         Latency
	MeanBatch                       float64 // commands in a batch; 0 if there was none
	ConnectionsBusy, ConnectionsMax int     // of the pool of database connections
	Settlement                      *Latency
	BreakerOpen                     bool // whether the bank's circuit breaker is open; only where Settlement is set

	Findings *settle.Findings // nil if the database does not answer
	Queues   *QueueStatus     // nil if Redis does not answer
	Audit    *AuditResult     // the last that this process ran; nil before the first
}

// Take takes a snapshot. Callers do not call it concurrently.
func (s *Snapshots) Take(ctx context.Context) Snapshot {
	s.mu.Lock()
	now := time.Now()
	if s.last.IsZero() {
		s.last = now // the first covers nothing: what was counted before it has no interval
	}
	interval := now.Sub(s.last)
	s.last = now
	s.mu.Unlock()

	pool := s.config.Pool.Stat()
	snapshot := Snapshot{
		At: now, Interval: interval, Audit: s.config.Audit.Last(),
		Requests: s.requests.growth(interval).latency(), Commits: s.commits.growth(interval).latency(),
		ConnectionsBusy: int(pool.AcquiredConns()), ConnectionsMax: int(pool.MaxConns()),
	}
	if sizes := s.batchSizes.growth(interval); sizes.count > 0 {
		snapshot.MeanBatch = sizes.sum / float64(sizes.count)
	}
	if s.config.Settlement != nil {
		settled := s.settlement.growth(interval).latency()
		snapshot.Settlement, snapshot.BreakerOpen = &settled, s.config.Settler.BreakerOpen()
	}
	snapshot.Queues, snapshot.Findings = s.config.Dependencies.status(ctx, 0)
	return snapshot
}
