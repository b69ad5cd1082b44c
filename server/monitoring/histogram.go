package monitoring

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Latency describes the observations of an interval.
type Latency struct {
	Count     int64
	PerSecond float64
	P50, P99  *float64 // milliseconds; nil if nothing was observed
}

// histogramReader reads how a histogram grew since the last reading.
type histogramReader struct {
	histogram prometheus.Collector
	last      histogramData
}

// histogramData is what a histogram, all its labels together, holds or has gained.
type histogramData struct {
	count      uint64
	sum        float64
	bounds     []float64     // upper bounds of the buckets
	cumulative []uint64      // observations up to each bound
	interval   time.Duration // in which this was gained
}

// growth returns what was observed since the last call, interval ago. It is empty if interval is
// 0.
func (r *histogramReader) growth(interval time.Duration) histogramData {
	now := readHistogram(r.histogram)
	gained := histogramData{count: now.count - r.last.count, sum: now.sum - r.last.sum, bounds: now.bounds, interval: interval}
	for i, n := range now.cumulative {
		if i < len(r.last.cumulative) {
			n -= r.last.cumulative[i]
		}
		gained.cumulative = append(gained.cumulative, n)
	}
	if interval == 0 {
		gained = histogramData{}
	}
	r.last = now
	return gained
}

func readHistogram(c prometheus.Collector) histogramData {
	var total histogramData
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
				total.bounds, total.cumulative = append(total.bounds, b.GetUpperBound()), append(total.cumulative, 0)
			}
			total.cumulative[i] += b.GetCumulativeCount()
		}
	}
	return total
}

// latency describes the observations, which are in seconds.
func (d histogramData) latency() Latency {
	l := Latency{Count: int64(d.count), P50: d.percentile(.50), P99: d.percentile(.99)}
	if d.interval > 0 {
		l.PerSecond = float64(d.count) / d.interval.Seconds()
	}
	return l
}

// percentile returns a percentile in milliseconds. It interpolates inside a bucket, as
// Prometheus's histogram_quantile does; beyond the last bound it returns that bound. It returns
// nil if nothing was observed.
func (d histogramData) percentile(p float64) *float64 {
	if d.count == 0 {
		return nil
	}
	rank := p * float64(d.count)
	low, below := 0.0, uint64(0)
	for i, bound := range d.bounds {
		if float64(d.cumulative[i]) >= rank && d.cumulative[i] > below {
			ms := 1000 * (low + (bound-low)*(rank-float64(below))/float64(d.cumulative[i]-below))
			return &ms
		}
		low, below = bound, d.cumulative[i]
	}
	ms := 1000 * low
	return &ms
}
