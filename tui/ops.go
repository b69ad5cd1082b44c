package tui

import (
	"math"
	"time"

	"github.com/JDevAman/kizo/client"
)

// seriesLimit is the number of values kept of a figure that comes once per second: ten minutes,
// more than the widest screen shows.
const seriesLimit = 600

// series is a figure over time, the newest last; NaN if it was not known.
type series struct{ values []float64 }

func (s *series) add(value float64) {
	if len(s.values) == seriesLimit {
		copy(s.values, s.values[1:])
		s.values = s.values[:seriesLimit-1]
	}
	s.values = append(s.values, value)
}

// operations is the current and the previous snapshots for operators.
type operations struct {
	latest *client.OpsSnapshot // nil before the first one
	denied bool                // the user is not an operator
	old    string              // the age of latest if it may be out of date, otherwise empty

	queues                         map[string]*queueHistory
	settlementP50, settlementP99   series // ms
	settled                        series // payments a second
	apiP50, apiP99, commits, batch series // ms, ms, ms of the slowest, commands
}

// queueHistory is one queue over time.
type queueHistory struct {
	waiting, throughput series // tasks, tasks a second
	processed           int
	at                  time.Time
}

// maxQueues limits the queues that are remembered; Kizo has one.
const maxQueues = 32

// take adds a snapshot. One that is not newer than the last, for example from another server,
// restarts the rates.
func (o *operations) take(s client.OpsSnapshot) {
	o.latest, o.denied = &s, false
	if s.Settlement != nil {
		o.settlementP50.add(figure(s.Settlement.P50Ms))
		o.settlementP99.add(figure(s.Settlement.P99Ms))
		o.settled.add(s.Settlement.PerSecond)
	} else {
		o.settlementP50.add(math.NaN())
		o.settlementP99.add(math.NaN())
		o.settled.add(math.NaN())
	}
	o.apiP50.add(figure(s.Api.P50Ms))
	o.apiP99.add(figure(s.Api.P99Ms))
	o.commits.add(figure(s.Database.Commits.P99Ms))
	o.batch.add(figure(s.Database.BatchSize))
	if s.Queues == nil {
		return
	}
	if o.queues == nil {
		o.queues = map[string]*queueHistory{}
	}
	for _, q := range *s.Queues {
		history := o.queues[q.Name]
		if history == nil {
			if len(o.queues) == maxQueues {
				continue
			}
			history = &queueHistory{}
			o.queues[q.Name] = history
		}
		history.take(q, s.At)
	}
}

func (h *queueHistory) take(q client.QueueSnapshot, at time.Time) {
	h.waiting.add(float64(q.Pending + q.Scheduled + q.Retry))
	rate := math.NaN()
	if seconds := at.Sub(h.at).Seconds(); !h.at.IsZero() && seconds > 0 && q.ProcessedTotal >= h.processed {
		rate = float64(q.ProcessedTotal-h.processed) / seconds
	}
	h.throughput.add(rate)
	h.processed, h.at = q.ProcessedTotal, at
}

// now returns the newest value of a series, NaN if there is none.
func (s *series) now() float64 {
	if len(s.values) == 0 {
		return math.NaN()
	}
	return s.values[len(s.values)-1]
}

func figure(value *float64) float64 {
	if value == nil {
		return math.NaN()
	}
	return *value
}
