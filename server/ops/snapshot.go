package ops

import (
	"context"
	"math"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/monitoring"
	"github.com/JDevAman/kizo/server/settle"
)

// Snapshot implements [api.Ops]. Callers do not call it concurrently.
func (o *Ops) Snapshot(ctx context.Context) openapi.OpsSnapshot {
	taken := o.config.Snapshots.Take(ctx)
	view := openapi.OpsSnapshot{
		At: taken.At.UTC(), IntervalMs: taken.Interval.Milliseconds(), Api: viewLatency(taken.Requests),
		Database: openapi.DatabaseSnapshot{
			Commits: viewLatency(taken.Commits), ConnectionsBusy: taken.ConnectionsBusy, ConnectionsMax: taken.ConnectionsMax,
		},
	}
	if taken.Audit != nil {
		view.LastAudit = &openapi.AuditSnapshot{At: taken.Audit.At.UTC(), Ok: taken.Audit.OK}
	}
	if taken.MeanBatch > 0 {
		view.Database.BatchSize = &taken.MeanBatch
	}
	if taken.Settlement != nil {
		settlement, breaker := viewLatency(*taken.Settlement), "closed"
		if taken.BreakerOpen {
			breaker = "open"
		}
		view.Settlement, view.BankBreaker = &settlement, &breaker
	}
	if found := taken.Findings; found != nil {
		view.Database.Ok = true
		view.Janitor = &openapi.JanitorSnapshot{Overdue: found.Overdue, NeedsReview: found.NeedsReview, Discrepancies: found.Discrepancies}
	}
	if status := taken.Queues; status != nil {
		view.RedisOk, view.Queues = true, viewQueues(status.Queues)
		view.Workers = &openapi.WorkersSnapshot{Servers: status.Workers.Servers, Busy: status.Workers.Busy, Slots: status.Workers.Slots}
	}
	return view
}

func viewLatency(l monitoring.Latency) openapi.LatencySnapshot {
	return openapi.LatencySnapshot{Count: l.Count, PerSecond: l.PerSecond, P50Ms: l.P50, P99Ms: l.P99}
}

func viewQueues(stats []settle.QueueStats) *[]openapi.QueueSnapshot {
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

// History implements [api.Ops].
func (o *Ops) History(minutes bool) openapi.OpsHistory {
	f := o.config.History.Seconds()
	if minutes {
		f = o.config.History.Minutes()
	}
	view := openapi.OpsHistory{
		At: f.At.UTC(), StepSeconds: int(f.Step.Seconds()), Samples: f.Samples,
		Api: viewLatencies(f.Requests), Commits: viewLatencies(f.Commits), BatchSize: viewFigures(f.MeanBatch),
		Queues: make([]openapi.QueueHistory, len(f.Queues)),
	}
	if f.Settlement != nil {
		settlement := viewLatencies(*f.Settlement)
		view.Settlement = &settlement
	}
	for i, q := range f.Queues {
		view.Queues[i] = openapi.QueueHistory{
			Name: q.Name, Waiting: viewFigures(q.Waiting), DonePerSecond: viewFigures(q.Done), FailedPerSecond: viewFigures(q.Failed),
		}
	}
	return view
}

func viewLatencies(l monitoring.LatencyFigures) openapi.LatencyHistory {
	return openapi.LatencyHistory{PerSecond: viewFigures(l.PerSecond), P50Ms: viewFigures(l.P50), P99Ms: viewFigures(l.P99)}
}

// viewFigures returns values with nil for NaN, which JSON does not have.
func viewFigures(values []float32) openapi.Figures {
	figures := make(openapi.Figures, len(values))
	for i := range values {
		if !math.IsNaN(float64(values[i])) {
			figures[i] = &values[i]
		}
	}
	return figures
}
