package monitoring

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/settle"
)

// historyOf returns a recording, and a function that observes requests of 1.5 s.
func historyOf(step time.Duration, size int) (r *recording, request func(times int)) {
	requests := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "seconds", Buckets: []float64{1, 2, 4}})
	r = newRecording(HistoryConfig{Requests: requests, Batches: NewBatchMetrics()}, step, size)
	return r, func(times int) {
		for range times {
			requests.Observe(1.5)
		}
	}
}

func queuesWith(waiting, done int) *QueueStatus {
	return &QueueStatus{Queues: []settle.QueueStats{{Name: "bank", Retry: waiting, ProcessedTotal: done}}}
}

// shown writes figures with – for NaN.
func shown(values []float32) string {
	var words []string
	for _, v := range values {
		word := fmt.Sprint(v)
		if math.IsNaN(float64(v)) {
			word = "–"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

var historyStart = time.Date(2026, 11, 28, 12, 0, 30, 0, time.UTC)

// A step without a sample is a gap in every list, and so is a queue that could not be read.
func TestHistoryOfSeconds(t *testing.T) {
	t.Parallel()
	r, request := historyOf(time.Second, 8)
	at := func(seconds float64, queues *QueueStatus) {
		r.record(historyStart.Add(time.Duration(seconds*float64(time.Second))), queues)
	}
	request(100) // before the recording begins
	at(0, queuesWith(1, 10))
	request(2)
	at(1.1, queuesWith(3, 12))
	at(1.9, nil) // Redis does not answer
	request(5)
	at(1.95, queuesWith(9, 99)) // in the same second as the sample before: not another one
	at(7, queuesWith(4, 63))    // the process was stalled for 5 s
	f := r.figures()
	testkit.Equal(t, "end", f.At.UTC(), historyStart.Add(7*time.Second))
	testkit.Equal(t, "samples", f.Samples, 7)
	testkit.Equal(t, "requests per second", shown(f.Requests.PerSecond), "1.82 0 – – – – 0.98")
	testkit.Equal(t, "p50", shown(f.Requests.P50), "1500 – – – – – 1500")
	testkit.Equal(t, "waiting", shown(f.Queues[0].Waiting), "3 – – – – – 9")
	testkit.Equal(t, "done per second", shown(f.Queues[0].Done), "1.82 – – – – – 8.64")
	testkit.Equal(t, "commits", shown(f.Commits.P99), "– – – – – – –")
	if f.Settlement != nil {
		t.Error("a process that settles nothing has figures of settlement")
	}

	// The oldest steps leave.
	for i := range 3 {
		at(float64(8+i), queuesWith(i, 63))
	}
	f = r.figures()
	testkit.Equal(t, "samples", f.Samples, 8)
	testkit.Equal(t, "waiting", shown(f.Queues[0].Waiting), "– – – – 9 0 1 2")

	// After a longer stall than the history, nothing of before is left.
	at(1000, queuesWith(5, 63))
	testkit.Equal(t, "waiting", shown(r.figures().Queues[0].Waiting), "– – – – – – – 5")

	// The totals were reset, and the clock was set back.
	at(1001, queuesWith(5, 0))
	testkit.Equal(t, "done per second", shown(r.figures().Queues[0].Done), "– – – – – – 0 –")
	at(500, queuesWith(6, 0))
	at(501, queuesWith(7, 0))
	testkit.Equal(t, "waiting", shown(r.figures().Queues[0].Waiting), "7")
}

// A minute has the percentiles of all its observations, and the most tasks that waited.
func TestHistoryOfMinutes(t *testing.T) {
	t.Parallel()
	r, request := historyOf(time.Minute, 4)
	waiting := map[int]int{10: 7, 29: 1, 45: 20, 89: 2, 200: 3}
	for second := range 211 {
		if second >= 91 && second < 200 {
			continue // stalled
		}
		request(1)
		r.record(historyStart.Add(time.Duration(second)*time.Second), queuesWith(waiting[second], second))
	}
	f := r.figures()
	testkit.Equal(t, "end", f.At.UTC(), historyStart.Add(210*time.Second))
	testkit.Equal(t, "waiting", shown(f.Queues[0].Waiting), "7 20 3 0")
	testkit.Equal(t, "requests per second", shown(f.Requests.PerSecond), "1 1 0.01 1")
	testkit.Equal(t, "done per second", shown(f.Queues[0].Done), "1 1 1 1")
	testkit.Equal(t, "p99", shown(f.Requests.P99), "1990 1990 1990 1990")
}

// The queues that are kept are bounded, and the memory is.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	r, _ := historyOf(time.Second, 10)
	status := &QueueStatus{}
	for i := range 3 * maxHistoryQueues {
		status.Queues = append(status.Queues, settle.QueueStats{Name: fmt.Sprint(i)})
	}
	for i := range 100 {
		r.record(historyStart.Add(time.Duration(i)*time.Second), status)
	}
	if n := len(r.figures().Queues); n != maxHistoryQueues {
		t.Errorf("%d queues", n)
	}
	bytes := 0
	for _, c := range r.columns() {
		bytes += 4 * cap(c)
	}
	if most := 4 * 10 * (1 + 2*3 + 3*maxHistoryQueues); bytes > most {
		t.Errorf("%d bytes, more than %d", bytes, most)
	}
}

// A commit is in the history once, with the size of its batch.
func TestHistoryOfCommits(t *testing.T) {
	t.Parallel()
	batches := NewBatchMetrics()
	r := newRecording(HistoryConfig{Requests: batches.seconds, Settlement: batches.seconds, Batches: batches}, time.Second, 10)
	r.record(historyStart, nil)
	batches.Observe(ledger.BatchStats{Commands: 6, Duration: 2 * time.Millisecond})
	batches.Observe(ledger.BatchStats{Commands: 3, Duration: 2 * time.Millisecond})
	r.record(historyStart.Add(time.Second), nil)
	r.record(historyStart.Add(2*time.Second), nil)
	f := r.figures()
	testkit.Equal(t, "batch", shown(f.MeanBatch), "4.5 –")
	testkit.Equal(t, "commits", shown(f.Commits.PerSecond), "2 0")
	testkit.Equal(t, "payments", shown(f.Settlement.PerSecond), "2 0")
}
