package api

import (
	"errors"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/server/spans"
)

// secondsBuckets are finest around the targets at p99: 20 to 50 ms for payments, 100 ms for the
// dashboard, 0.1 to 2 s for log-ins. The buckets beyond are for callers that wait for the bank.
var secondsBuckets = []float64{
	.001, .0025, .005, .0075, .01, .015, .02, .03, .04, .05, .075, .1, .15, .2, .3, .5, .75, 1, 1.5, 2, 3, 5, 10, 30,
}

// Metrics are the metrics of the API, by route and never by user.
type Metrics struct {
	seconds *prometheus.HistogramVec
	streams prometheus.Gauge
	shed    prometheus.Counter

	admitted        atomic.Pointer[admission] // whose requests in flight are reported
	inFlight, limit prometheus.GaugeFunc

	// observers caches the histograms: looking one up by its labels hashes them and takes a lock.
	// Methods, routes and statuses are few, so the map stays small.
	observers atomic.Pointer[map[requestLabels]prometheus.Observer]
	adding    sync.Mutex
}

// requestLabels are the labels of one histogram.
type requestLabels struct {
	method, route string
	status        int
}

// NewMetrics returns metrics that are not registered yet.
func NewMetrics() *Metrics {
	m := &Metrics{seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "kizo_http_request_seconds",
		Help:    "Time from the first byte of a request to its answer.",
		Buckets: secondsBuckets,
	}, []string{"method", "route", "status"}), streams: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kizo_event_streams", Help: "Open event streams.",
	})}
	m.shed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kizo_http_shed_total", Help: "Requests rejected because too many were in flight.",
	})
	m.inFlight = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kizo_http_in_flight", Help: "Requests in flight, without event streams and requests that wait for the bank or for a password hash.",
	}, func() float64 {
		if a := m.admitted.Load(); a != nil {
			return float64(a.inFlight.Load())
		}
		return 0
	})
	m.limit = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kizo_http_in_flight_limit", Help: "Requests that are admitted at once. Fewer are while they take long.",
	}, func() float64 {
		if a := m.admitted.Load(); a != nil {
			return float64(a.limit.limit.Load())
		}
		return 0
	})
	m.observers.Store(&map[requestLabels]prometheus.Observer{})
	return m
}

// Seconds returns the histogram of all requests.
func (m *Metrics) Seconds() prometheus.Collector { return m.seconds }

// Collectors returns what is to be registered.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.seconds, m.streams, m.shed, m.inFlight, m.limit}
}

// observe measures the request.
func (a *API) observe(c *fiber.Ctx) error {
	started := time.Now()
	err := c.Next()
	labels := requestLabels{c.Method(), c.Route().Path, c.Response().StatusCode()}
	if err != nil {
		labels.status = problemOf(err).Status
		if e, ok := errors.AsType[*fiber.Error](err); ok && (e.Code == http.StatusNotFound || e.Code == http.StatusMethodNotAllowed) {
			labels.route = "none" // a path that the caller made up must not become a label
		}
	}
	a.metrics.observer(labels).Observe(time.Since(started).Seconds())
	if a.spans != nil {
		a.spans.Record(spanOf(c, labels, started))
	}
	return err
}

// spanOf returns the span of a request. Only errors of the server are failures of it.
func spanOf(c *fiber.Ctx, of requestLabels, began time.Time) spans.Span {
	s := spans.Span{
		Name: of.method + " " + of.route, Kind: spans.Server, Trace: traceOf(c), Began: began,
		Attributes: []spans.Attribute{
			spans.Text("http.request.method", of.method), spans.Text("http.route", of.route),
			spans.Number("http.response.status_code", of.status), spans.Text("kizo.request_id", requestID(c)),
		},
	}
	if of.status >= http.StatusInternalServerError {
		s.Failure = http.StatusText(of.status)
	}
	return s
}

func (m *Metrics) observer(labels requestLabels) prometheus.Observer {
	if cached, ok := (*m.observers.Load())[labels]; ok {
		return cached
	}
	m.adding.Lock()
	defer m.adding.Unlock()
	added := maps.Clone(*m.observers.Load()) // a copy, because readers take no lock
	added[labels] = m.seconds.WithLabelValues(labels.method, labels.route, strconv.Itoa(labels.status))
	m.observers.Store(&added)
	return added[labels]
}
