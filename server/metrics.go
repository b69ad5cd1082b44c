package server

import (
	"regexp"
	"runtime"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/JDevAman/kizo/server/ledger"
)

func newRegistry(config Config, more ...prometheus.Collector) *prometheus.Registry {
	// How long a runnable goroutine waits for a processor says when the machine is full.
	waiting := collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/sched/latencies:seconds$`)}
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(waiting)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(config),
	)
	r.MustRegister(more...)
	return r
}

func buildInfo(config Config) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kizo_build_info", Help: "1; what runs here.",
		ConstLabels: prometheus.Labels{"version": config.Version, "go_version": runtime.Version(), "roles": roleNames(config.Roles)},
	}, func() float64 { return 1 })
}

// batchMetrics watch the ledger's commits.
type batchMetrics struct {
	size    prometheus.Histogram
	seconds prometheus.Histogram
}

func newBatchMetrics() *batchMetrics {
	return &batchMetrics{
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kizo_ledger_batch_commands", Help: "Commands committed together.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512},
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kizo_ledger_commit_seconds", Help: "From a batch's first statement to its COMMIT's answer.",
			Buckets: []float64{ // the target is 0.5 to 50 ms
				.0005, .00075, .001, .0015, .002, .003, .004, .006, .008, .012, .016, .024, .032, .05, .075, .1, .25, .5, 1, 2, 4, 8,
			},
		}),
	}
}

func lineGauge(l *ledger.Ledger) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kizo_ledger_queue_commands", Help: "Commands waiting for a batch.",
	}, func() float64 { return float64(l.QueueLength()) })
}

func (m *batchMetrics) observe(b ledger.BatchStats) {
	m.size.Observe(float64(b.Commands))
	m.seconds.Observe(b.Duration.Seconds())
}

// databaseMetrics are the numbers that the pool keeps of itself.
type databaseMetrics struct{ pool *pgxpool.Pool }

var (
	connectionsBusy  = describe("kizo_database_connections_busy", "Connections in use.")
	connectionsIdle  = describe("kizo_database_connections_idle", "Connections that are open and not in use.")
	connectionsMax   = describe("kizo_database_connections_max", "Connections that there may be.")
	acquires         = describe("kizo_database_acquires_total", "Connections taken from the pool.")
	acquireWaits     = describe("kizo_database_acquire_waits_total", "Of those, the ones that had to wait for one to be given back or made.")
	acquireWaited    = describe("kizo_database_acquire_wait_seconds_total", "How long they waited.")
	acquiresCanceled = describe("kizo_database_acquires_canceled_total", "Those who stopped waiting for a connection.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func (m databaseMetrics) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, out) }

func (m databaseMetrics) Collect(out chan<- prometheus.Metric) {
	stat := m.pool.Stat()
	gauge(out, connectionsBusy, float64(stat.AcquiredConns()))
	gauge(out, connectionsIdle, float64(stat.IdleConns()))
	gauge(out, connectionsMax, float64(stat.MaxConns()))
	counter(out, acquires, float64(stat.AcquireCount()))
	counter(out, acquireWaits, float64(stat.EmptyAcquireCount()))
	counter(out, acquireWaited, stat.EmptyAcquireWaitTime().Seconds())
	counter(out, acquiresCanceled, float64(stat.CanceledAcquireCount()))
}

func gauge(out chan<- prometheus.Metric, what *prometheus.Desc, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(what, prometheus.GaugeValue, value, labels...)
}

func counter(out chan<- prometheus.Metric, what *prometheus.Desc, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(what, prometheus.CounterValue, value, labels...)
}
