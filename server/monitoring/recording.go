package monitoring

import (
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// recording is a history with steps of one length. Steps are numbered from 1970; the values of
// step n are in slot n % size of each column.
type recording struct {
	step time.Duration
	size int

	mu            sync.Mutex
	first, newest int64     // steps; the first ended when the recording began, and has no sample
	last          time.Time // when the newest step ended; zero before the recording begins

	requests, commits, settled *latencyRecording // settled is nil where this process settles no payments
	batches                    histogramReader
	meanBatch                  column
	queues                     map[string]*queueRecording
}

// column is the values of one figure, NaN where there is none.
type column []float32

type latencyRecording struct {
	reader              histogramReader
	perSecond, p50, p99 column
}

type queueRecording struct {
	waiting, done, failed column

	most                   int       // waiting tasks in the current step; -1 if they were not read
	totalsAt               time.Time // when the totals were read; zero if they never were
	doneTotal, failedTotal int
}

func newRecording(config HistoryConfig, step time.Duration, size int) *recording {
	return &recording{
		step: step, size: size, requests: newLatencyRecording(config.Requests, size),
		commits: newLatencyRecording(config.Batches.seconds, size), settled: newLatencyRecording(config.Settlement, size),
		batches: histogramReader{histogram: config.Batches.size}, meanBatch: newColumn(size), queues: map[string]*queueRecording{},
	}
}

func newLatencyRecording(histogram prometheus.Collector, size int) *latencyRecording {
	if histogram == nil {
		return nil
	}
	return &latencyRecording{histogramReader{histogram: histogram}, newColumn(size), newColumn(size), newColumn(size)}
}

func newColumn(size int) column {
	c := make(column, size)
	for i := range c {
		c[i] = float32(math.NaN())
	}
	return c
}

// record takes a sample if a step has ended since the last one. queues is nil if they could not
// be read. A clock that was set back restarts the recording.
func (r *recording) record(at time.Time, queues *QueueStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	step := at.Round(time.Second).Unix() / int64(r.step/time.Second)
	begins := r.last.IsZero() || step < r.newest
	if begins {
		r.first, r.newest, r.last = step, step, at
	}
	r.watch(queues)
	if step == r.newest && !begins {
		return
	}
	for s := max(r.newest, step-int64(r.size)) + 1; s <= step; s++ {
		for _, c := range r.columns() {
			c[s%int64(r.size)] = float32(math.NaN())
		}
	}
	r.sample(int(step%int64(r.size)), at, queues)
	r.newest, r.last = step, at
}

// watch keeps the maximum of the tasks that wait.
func (r *recording) watch(queues *QueueStatus) {
	if queues == nil {
		return
	}
	for _, q := range queues.Queues {
		kept := r.queues[q.Name]
		if kept == nil {
			if len(r.queues) == maxHistoryQueues {
				continue
			}
			kept = &queueRecording{waiting: newColumn(r.size), done: newColumn(r.size), failed: newColumn(r.size), most: -1}
			r.queues[q.Name] = kept
		}
		kept.most = max(kept.most, q.Pending+q.Scheduled+q.Retry)
	}
}

// sample stores the step that ends at a time. The sample with which a recording begins only
// reads the counters.
func (r *recording) sample(slot int, at time.Time, queues *QueueStatus) {
	interval := at.Sub(r.last)
	for _, latency := range []*latencyRecording{r.requests, r.commits, r.settled} {
		if latency != nil {
			latency.sample(slot, interval)
		}
	}
	if sizes := r.batches.growth(interval); sizes.count > 0 {
		r.meanBatch[slot] = rounded(sizes.sum / float64(sizes.count))
	}
	for _, kept := range r.queues {
		if kept.most >= 0 {
			kept.waiting[slot] = float32(kept.most)
		}
		kept.most = -1
	}
	if queues == nil {
		return
	}
	for _, q := range queues.Queues {
		if kept := r.queues[q.Name]; kept != nil {
			kept.count(slot, at, q.ProcessedTotal, q.FailedTotal)
		}
	}
}

// count stores the rates since the totals were last read. Totals that are lower than before were
// reset, and give no rate.
func (q *queueRecording) count(slot int, at time.Time, done, failed int) {
	if elapsed := at.Sub(q.totalsAt).Seconds(); !q.totalsAt.IsZero() && elapsed > 0 && done >= q.doneTotal && failed >= q.failedTotal {
		q.done[slot] = rounded(float64(done-q.doneTotal) / elapsed)
		q.failed[slot] = rounded(float64(failed-q.failedTotal) / elapsed)
	}
	q.totalsAt, q.doneTotal, q.failedTotal = at, done, failed
}

func (l *latencyRecording) sample(slot int, interval time.Duration) {
	latency := l.reader.growth(interval).latency()
	l.perSecond[slot] = rounded(latency.PerSecond)
	if latency.P50 != nil && latency.P99 != nil {
		l.p50[slot], l.p99[slot] = rounded(*latency.P50), rounded(*latency.P99)
	}
}

// rounded returns a figure with two decimals: more digits would only make the answers longer.
func rounded(v float64) float32 { return float32(math.Round(v*100) / 100) }

func (r *recording) columns() []column {
	all := []column{r.meanBatch}
	for _, l := range []*latencyRecording{r.requests, r.commits, r.settled} {
		if l != nil {
			all = append(all, l.perSecond, l.p50, l.p99)
		}
	}
	for _, q := range r.queues {
		all = append(all, q.waiting, q.done, q.failed)
	}
	return all
}

// figures returns a copy of what was recorded.
func (r *recording) figures() Figures {
	r.mu.Lock()
	defer r.mu.Unlock()
	seconds := int64(r.step / time.Second)
	f := Figures{At: time.Unix(r.newest*seconds, 0), Step: r.step, Samples: int(min(r.newest-r.first, int64(r.size)))}
	list := func(c column) []float32 {
		values := make([]float32, f.Samples)
		for i := range values {
			values[i] = c[(r.newest-int64(f.Samples-1-i))%int64(r.size)]
		}
		return values
	}
	latency := func(l *latencyRecording) LatencyFigures {
		return LatencyFigures{PerSecond: list(l.perSecond), P50: list(l.p50), P99: list(l.p99)}
	}
	f.Requests, f.Commits, f.MeanBatch = latency(r.requests), latency(r.commits), list(r.meanBatch)
	if r.settled != nil {
		settled := latency(r.settled)
		f.Settlement = &settled
	}
	for name, q := range r.queues {
		f.Queues = append(f.Queues, QueueFigures{Name: name, Waiting: list(q.waiting), Done: list(q.done), Failed: list(q.failed)})
	}
	return f
}
