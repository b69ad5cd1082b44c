package monitoring

import (
	"regexp"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Build names what runs in this process, for kizo_build_info.
type Build struct {
	Version string
	Roles   string // separated by commas
}

// NewRegistry makes a registry with the metrics of the Go runtime, of the process, of the build,
// and those of more.
func NewRegistry(build Build, more ...prometheus.Collector) *prometheus.Registry {
	// How long a runnable goroutine waits for a processor shows when the machine is saturated.
	latencies := collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/sched/latencies:seconds$`)}
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(latencies)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build.info(),
	)
	r.MustRegister(more...)
	return r
}

func (b Build) info() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kizo_build_info", Help: "1; the labels name what runs in this process.",
		ConstLabels: prometheus.Labels{"version": b.Version, "go_version": runtime.Version(), "roles": b.Roles},
	}, func() float64 { return 1 })
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func gauge(out chan<- prometheus.Metric, desc *prometheus.Desc, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

func counter(out chan<- prometheus.Metric, desc *prometheus.Desc, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, value, labels...)
}
