package tui

import (
	"maps"
	"math"
	"slices"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// seriesLimit is the number of steps that are kept of each figure: the 24 hours of the server, and
// more than its 15 minutes.
const seriesLimit = 1440

// figures are named figures on a grid of steps. All lists are equally long; their last value is
// that of the step newest. A value is NaN if there is no sample, and draw.Idle if nothing happened
// that could be measured.
type figures struct {
	newest int64
	lists  map[string][]float64
	length int
}

// maxFigures limits the figures that are kept, with those of each queue.
const maxFigures = 10 + 3*maxQueues

// maxGap is the number of steps that a clock may be set back without a restart of the figures.
const maxGap = 5

// advance begins a step. It reports false if that is not new. A single step that was skipped gets
// the values of the one before, because snapshots do not come exactly once per second.
func (f *figures) advance(step int64) bool {
	switch {
	case f.length == 0 || step < f.newest-maxGap:
		*f = figures{newest: step - 1, lists: map[string][]float64{}}
	case step <= f.newest:
		return false
	}
	for n := min(step-f.newest, seriesLimit); n > 0; n-- {
		for name, values := range f.lists {
			next := math.NaN()
			if n == 2 && step-f.newest == 2 {
				next = values[len(values)-1]
			}
			f.lists[name] = appended(values, next)
		}
		f.length = min(f.length+1, seriesLimit)
	}
	f.newest = step
	return true
}

// appended adds a value, in place of the oldest if there are too many.
func appended(values []float64, value float64) []float64 {
	if len(values) == seriesLimit {
		copy(values, values[1:])
		values = values[:seriesLimit-1]
	}
	return append(values, value)
}

// set stores the value of a figure in the current step.
func (f *figures) set(name string, value float64) {
	values := f.lists[name]
	if values == nil {
		if len(f.lists) == maxFigures {
			return
		}
		values = unknownValues(f.length)
		f.lists[name] = values
	}
	values[len(values)-1] = value
}

func unknownValues(n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = math.NaN()
	}
	return values
}

// latency stores a rate and its percentiles; nothing if the server does not know them.
func (f *figures) latency(rate, p50, p99 string, l *client.LatencySnapshot) {
	if l == nil {
		return
	}
	f.set(rate, l.PerSecond)
	f.set(p50, orIdle(l.P50Ms))
	f.set(p99, orIdle(l.P99Ms))
}

func orIdle(value *float64) float64 {
	if value == nil {
		return draw.Idle
	}
	return *value
}

// of returns a figure, oldest first; nil if there is none.
func (f *figures) of(name string) []float64 { return f.lists[name] }

// now returns the newest value of a figure, NaN if there is none.
func (f *figures) now(name string) float64 {
	values := f.lists[name]
	if len(values) == 0 || math.IsInf(values[len(values)-1], 0) {
		return math.NaN()
	}
	return values[len(values)-1]
}

// mean returns the mean of the last steps, NaN if they have no value.
func (f *figures) mean(name string, steps int) float64 {
	values, sum, n := f.lists[name], 0.0, 0
	for _, v := range values[max(0, len(values)-steps):] {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			sum, n = sum+v, n+1
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / float64(n)
}

// figuresOf returns the figures of a history.
func figuresOf(h client.OpsHistory) figures {
	f := figures{newest: h.At.Unix() / int64(max(1, h.StepSeconds)), lists: map[string][]float64{}, length: min(max(0, h.Samples), seriesLimit)}
	if f.length == 0 {
		return figures{}
	}
	// A percentile of a step with a sample is absent if nothing happened.
	add := func(name string, values, sampled []*float32) {
		list := unknownValues(f.length)
		for i := range list {
			at := len(values) - f.length + i
			switch {
			case at < 0 || at >= len(sampled):
			case values[at] != nil:
				list[i] = float64(*values[at])
			case sampled[at] != nil:
				list[i] = draw.Idle
			}
		}
		f.lists[name] = list
	}
	latency := func(rate, p50, p99 string, l client.LatencyHistory) {
		add(rate, l.PerSecond, l.PerSecond)
		add(p50, l.P50Ms, l.PerSecond)
		add(p99, l.P99Ms, l.PerSecond)
	}
	latency(apiRate, apiP50, apiP99, h.Api)
	latency(commitRate, commitP50, commitP99, h.Commits)
	add(batchSize, h.BatchSize, h.Commits.PerSecond)
	if h.Settlement != nil {
		latency(settledRate, settledP50, settledP99, *h.Settlement)
	}
	for _, q := range h.Queues[:min(len(h.Queues), maxQueues)] {
		add(waitingTasks+q.Name, q.Waiting, q.Waiting)
		add(doneRate+q.Name, q.DonePerSecond, q.DonePerSecond)
		add(failedRate+q.Name, q.FailedPerSecond, q.FailedPerSecond)
	}
	return f
}

// with returns the figures with those of the dashboard itself where they have none: those after
// the last step, and those before the server was restarted.
func (f figures) with(own figures) figures {
	if f.length == 0 || own.length > 0 && own.newest > f.newest+seriesLimit {
		return own
	}
	newest := max(f.newest, own.newest)
	oldest := f.newest - int64(f.length) + 1
	if own.length > 0 {
		oldest = min(oldest, own.newest-int64(own.length)+1)
	}
	oldest = max(oldest, newest-seriesLimit+1)
	merged := figures{newest: newest, length: int(newest - oldest + 1), lists: map[string][]float64{}}
	for _, name := range append(slices.Collect(maps.Keys(f.lists)), slices.Collect(maps.Keys(own.lists))...) {
		list := unknownValues(merged.length)
		for i := range list {
			step := oldest + int64(i)
			if list[i] = f.at(name, step); math.IsNaN(list[i]) {
				list[i] = own.at(name, step)
			}
		}
		merged.lists[name] = list
	}
	return merged
}

// at returns the value of a figure in a step, NaN if there is none.
func (f *figures) at(name string, step int64) float64 {
	values := f.lists[name]
	i := int64(len(values)) - 1 - (f.newest - step)
	if i < 0 || i >= int64(len(values)) {
		return math.NaN()
	}
	return values[i]
}
