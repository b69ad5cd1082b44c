package server

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/ledger"
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
	queues                *settle.Queues

	mu    sync.Mutex
	last  time.Time // snapshot
	audit *api.AuditSnapshot

	asking sync.Mutex // held while Redis is asked, which may hang longer than a snapshot may
}

func (g *gauges) audited(r ledger.Report) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.audit = &api.AuditSnapshot{At: r.At.UTC(), Ok: r.OK()}
}

// Snapshot is called by one caller at a time.
func (o *operations) Snapshot(ctx context.Context) api.OpsSnapshot {
	g := o.gauges
	g.mu.Lock()
	now := time.Now()
	if g.last.IsZero() {
		g.last = now // the first is about nothing: all that was counted so far is the past
	}
	interval := now.Sub(g.last)
	g.last = now
	s := api.OpsSnapshot{At: now.UTC(), IntervalMs: interval.Milliseconds(), LastAudit: g.audit}
	g.mu.Unlock()

	s.Api = g.api.since(interval).latency()
	commits := g.commits.since(interval)
	s.Database = api.DatabaseSnapshot{Commits: commits.latency(), ConnectionsBusy: int(g.pool.Stat().AcquiredConns()), ConnectionsMax: int(g.pool.Stat().MaxConns())}
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
	queues := g.askRedis()
	if found, err := g.settler.Findings(ctx); err == nil {
		s.Database.Ok = true
		s.Janitor = &api.JanitorSnapshot{Overdue: found.Overdue, NeedsReview: found.NeedsReview, Differences: found.Differences}
	}
	select {
	case view, ok := <-queues:
		if ok {
			s.RedisOk, s.Queues, s.Workers = true, &view.queues, &view.workers
		}
	case <-ctx.Done():
	}
	return s
}

type queuesView struct {
	queues  []api.QueueSnapshot
	workers api.WorkersSnapshot
}

// askRedis asks while the database is asked. The channel is closed without an answer
// where there is none; one that comes too late is thrown away.
func (g *gauges) askRedis() <-chan queuesView {
	answer := make(chan queuesView, 1)
	if !g.asking.TryLock() { // it still hangs from an earlier snapshot
		close(answer)
		return answer
	}
	go func() {
		defer g.asking.Unlock()
		defer close(answer)
		stats, err := g.queues.Stats()
		if err != nil {
			return
		}
		workers, err := g.queues.Workers()
		if err != nil {
			return
		}
		view := queuesView{workers: api.WorkersSnapshot{Servers: workers.Servers, Busy: workers.Busy, Slots: workers.Slots}}
		for _, q := range stats {
			view.queues = append(view.queues, api.QueueSnapshot{
				Name: q.Name, Paused: q.Paused, Pending: q.Pending, Active: q.Active, Scheduled: q.Scheduled, Retry: q.Retry,
				Archived: q.Archived, Completed: q.Completed, OldestMs: q.Latency.Milliseconds(),
				ProcessedTotal: q.ProcessedTotal, FailedTotal: q.FailedTotal,
			})
		}
		answer <- view
	}()
	return answer
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
func (g growth) latency() api.LatencySnapshot {
	l := api.LatencySnapshot{Count: int64(g.count), P50Ms: g.percentile(.50), P99Ms: g.percentile(.99)}
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
