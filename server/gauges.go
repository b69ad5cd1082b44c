package server

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/settle"
)

// gauges are what a snapshot for operators is read off. Rates and percentiles come
// from the histograms of /metrics, as they grew since the snapshot before: nothing
// is counted twice on the way of a request.
type gauges struct {
	api, commits, batches *reading
	settlement            *reading // nil where this process settles nothing
	pool                  *pgxpool.Pool
	settler               *settle.Settler
	outside               *outside

	mu   sync.Mutex
	last time.Time // snapshot
}

// Snapshot is called by one caller at a time.
func (o *operations) Snapshot(ctx context.Context) openapi.OpsSnapshot {
	g := o.gauges
	g.mu.Lock()
	now := time.Now()
	if g.last.IsZero() {
		g.last = now // the first is about nothing: all that was counted so far is the past
	}
	interval := now.Sub(g.last)
	g.last = now
	s := openapi.OpsSnapshot{At: now.UTC(), IntervalMs: interval.Milliseconds(), LastAudit: g.outside.lastAudit()}
	g.mu.Unlock()

	s.Api = g.api.since(interval).latency()
	commits := g.commits.since(interval)
	s.Database = openapi.DatabaseSnapshot{Commits: commits.latency(), ConnectionsBusy: int(g.pool.Stat().AcquiredConns()), ConnectionsMax: int(g.pool.Stat().MaxConns())}
	if size := g.batches.since(interval); size.count > 0 {
		mean := size.sum / float64(size.count)
		s.Database.BatchSize = &mean
	}
	if g.settlement != nil {
		settled := g.settlement.since(interval).latency()
		s.Settlement = &settled
		breaker := "closed"
		if g.settler.BreakerOpen() {
			breaker = "open"
		}
		s.BankBreaker = &breaker
	}
	queues, findings := g.outside.look(ctx, 0)
	if findings != nil {
		s.Database.Ok = true
		s.Janitor = &openapi.JanitorSnapshot{Overdue: findings.Overdue, NeedsReview: findings.NeedsReview, Discrepancies: findings.Discrepancies}
	}
	if queues != nil {
		s.RedisOk, s.Queues, s.Workers = true, queueSnapshots(queues.queues), &openapi.WorkersSnapshot{
			Servers: queues.workers.Servers, Busy: queues.workers.Busy, Slots: queues.workers.Slots,
		}
	}
	return s
}

func queueSnapshots(stats []settle.QueueStats) *[]openapi.QueueSnapshot {
	queues := make([]openapi.QueueSnapshot, len(stats))
	for i, q := range stats {
		queues[i] = openapi.QueueSnapshot{
			Name: q.Name, Paused: q.Paused, Pending: q.Pending, Active: q.Active, Scheduled: q.Scheduled, Retry: q.Retry,
			Archived: q.Archived, Completed: q.Completed, OldestMs: q.Latency.Milliseconds(),
			ProcessedTotal: q.ProcessedTotal, FailedTotal: q.FailedTotal,
		}
	}
	return &queues
}

// reading is a histogram and how far it had been read.
type reading struct {
	histogram prometheus.Collector
	read      growth
}

func newReading(histogram prometheus.Collector) *reading { return &reading{histogram: histogram} }

// growth is what a histogram, all its labels together, holds or has gained.
type growth struct {
	count    uint64
	sum      float64
	bounds   []float64 // upper bounds of the buckets
	within   []uint64  // observations up to each bound
	interval time.Duration
}

// since is what came since the last time it was asked.
func (r *reading) since(interval time.Duration) growth {
	now := collect(r.histogram)
	gained := growth{count: now.count - r.read.count, sum: now.sum - r.read.sum, bounds: now.bounds, interval: interval}
	for i, n := range now.within {
		if i < len(r.read.within) {
			n -= r.read.within[i]
		}
		gained.within = append(gained.within, n)
	}
	if interval == 0 {
		gained = growth{}
	}
	r.read = now
	return gained
}

func collect(c prometheus.Collector) growth {
	var total growth
	metrics := make(chan prometheus.Metric)
	go func() {
		c.Collect(metrics)
		close(metrics)
	}()
	for m := range metrics {
		var written dto.Metric
		if m.Write(&written) != nil || written.GetHistogram() == nil {
			continue
		}
		h := written.GetHistogram()
		total.count += h.GetSampleCount()
		total.sum += h.GetSampleSum()
		for i, b := range h.GetBucket() {
			if i == len(total.bounds) {
				total.bounds, total.within = append(total.bounds, b.GetUpperBound()), append(total.within, 0)
			}
			total.within[i] += b.GetCumulativeCount()
		}
	}
	return total
}

// latency describes what was gained, in milliseconds.
func (g growth) latency() openapi.LatencySnapshot {
	l := openapi.LatencySnapshot{Count: int64(g.count), P50Ms: g.percentile(.50), P99Ms: g.percentile(.99)}
	if g.interval > 0 {
		l.PerSecond = float64(g.count) / g.interval.Seconds()
	}
	return l
}

// percentile interpolates inside a bucket, as Prometheus's histogram_quantile does; what lies
// beyond the last bound is that bound. nil if there was nothing.
func (g growth) percentile(p float64) *float64 {
	if g.count == 0 {
		return nil
	}
	rank := p * float64(g.count)
	low, below := 0.0, uint64(0)
	for i, bound := range g.bounds {
		if float64(g.within[i]) >= rank && g.within[i] > below {
			ms := 1000 * (low + (bound-low)*(rank-float64(below))/float64(g.within[i]-below))
			return &ms
		}
		low, below = bound, g.within[i]
	}
	ms := 1000 * low
	return &ms
}
