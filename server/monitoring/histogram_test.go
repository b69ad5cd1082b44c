package monitoring

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A reader returns what was observed since its last reading, over all labels. Percentiles are in
// milliseconds and interpolate inside a bucket; above the last bound they are that bound.
func TestHistogramReader(t *testing.T) {
	t.Parallel()
	histogram := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "seconds", Buckets: []float64{1, 2, 4}}, []string{"kind"})
	observe := func(kind string, seconds float64, times int) {
		for range times {
			histogram.WithLabelValues(kind).Observe(seconds)
		}
	}
	r := histogramReader{histogram: histogram}
	for _, step := range []struct {
		name      string
		observe   func()
		interval  time.Duration
		count     int64
		perSecond float64
		p50, p99  float64 // NaN: absent
	}{
		{"the first reading covers nothing", func() { observe("a", .5, 7) }, 0, 0, 0, math.NaN(), math.NaN()},
		{"one bucket", func() { observe("a", 1.5, 50); observe("b", 1.5, 50) }, 10 * time.Second, 100, 10, 1500, 1990},
		{"nothing", func() {}, time.Second, 0, 0, math.NaN(), math.NaN()},
		{"two buckets", func() { observe("b", .5, 1); observe("b", 3, 1) }, 2 * time.Second, 2, 1, 1000, 3960},
		{"above the last bound", func() { observe("a", 100, 4) }, time.Second, 4, 4, 4000, 4000},
	} {
		step.observe()
		got := r.growth(step.interval).latency()
		if got.Count != step.count || got.PerSecond != step.perSecond || !matches(got.P50, step.p50) || !matches(got.P99, step.p99) {
			t.Errorf("%s: %+v, P50 %v, P99 %v; want %+v", step.name, got, value(got.P50), value(got.P99), step)
		}
	}
}

func value(p *float64) float64 {
	if p == nil {
		return math.NaN()
	}
	return *p
}

func matches(got *float64, want float64) bool {
	return got == nil && math.IsNaN(want) || got != nil && math.Abs(*got-want) < 1e-6
}
