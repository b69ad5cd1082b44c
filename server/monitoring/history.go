package monitoring

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// History keeps the figures of queues and latencies in memory, of this process and of the queues
// in Redis: 15 minutes of samples of one second, and 24 hours of samples of one minute.
//
//	RunOnce, once per second ─┬─► seconds ─┬─► Figures: a list for each figure, oldest first
//	                          └─► minutes ─┘
//
// A step without a sample has NaN in every list, for example while the process was stalled.
// Percentiles are those of all observations of the step. At most maxHistoryQueues queues are
// kept, so that the memory is bounded: 0.1 MB, and 28 KB for each queue.
type History struct {
	queues  func(context.Context) *QueueStatus
	seconds *recording
	minutes *recording
}

// HistoryConfig of a History.
type HistoryConfig struct {
	Requests     prometheus.Collector // a histogram of the seconds of a request
	Settlement   prometheus.Collector // the same of a payment; nil where this process settles none
	Batches      *BatchMetrics
	Dependencies *Dependencies
}

const (
	historySeconds   = 15 * 60
	historyMinutes   = 24 * 60
	maxHistoryQueues = 16
	sampleTimeout    = 900 * time.Millisecond // for reading the queues
)

// NewHistory makes a History without samples.
func NewHistory(config HistoryConfig) *History {
	queues := func(ctx context.Context) *QueueStatus {
		status, err := config.Dependencies.queues.get(ctx, 0)
		if err != nil {
			return nil
		}
		return &status
	}
	return &History{
		queues:  queues,
		seconds: newRecording(config, time.Second, historySeconds), minutes: newRecording(config, time.Minute, historyMinutes),
	}
}

// Run takes a sample at each full second until ctx ends. It returns nil.
func (h *History) Run(ctx context.Context) error {
	for {
		h.RunOnce(ctx, time.Now())
		now := time.Now()
		next := time.NewTimer(now.Round(time.Second).Add(time.Second).Sub(now))
		select {
		case <-ctx.Done():
			next.Stop()
			return nil
		case <-next.C:
		}
	}
}

// RunOnce takes a sample. at is the end of its step, rounded to a second.
func (h *History) RunOnce(ctx context.Context, at time.Time) {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	queues := h.queues(ctx)
	h.seconds.record(at, queues)
	h.minutes.record(at, queues)
}

// Seconds returns the samples of one second.
func (h *History) Seconds() Figures { return h.seconds.figures() }

// Minutes returns the samples of one minute.
func (h *History) Minutes() Figures { return h.minutes.figures() }

// Figures are the samples of a History. All lists have the same length.
type Figures struct {
	At      time.Time // the end of the last step
	Step    time.Duration
	Samples int // the length of the lists

	Requests, Commits LatencyFigures
	Settlement        *LatencyFigures // nil where this process settles no payments
	MeanBatch         []float32       // commands in a batch
	Queues            []QueueFigures  // in no order
}

// LatencyFigures are rates per second, and percentiles in milliseconds.
type LatencyFigures struct{ PerSecond, P50, P99 []float32 }

// QueueFigures are those of one queue: tasks that wait, the maximum of the step, and tasks that
// were processed or failed per second.
type QueueFigures struct {
	Name                  string
	Waiting, Done, Failed []float32
}
