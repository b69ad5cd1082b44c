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
)

// secondsBuckets are finest around the targets at p99: payments 20 to 50 ms, the
// dashboard 100 ms, sign-in 0.1 to 2 s. Beyond that is who prefers to wait for the bank.
var secondsBuckets = []float64{
	.001, .0025, .005, .0075, .01, .015, .02, .03, .04, .05, .075, .1, .15, .2, .3, .5, .75, 1, 1.5, 2, 3, 5, 10, 30,
}

// Metrics of the HTTP side, by route and never by user.
type Metrics struct {
	seconds *prometheus.HistogramVec
	streams prometheus.Gauge
	shed    prometheus.Counter

	admitted atomic.Pointer[admission] // whose requests are in flight
	inFlight prometheus.GaugeFunc

	// Looking a histogram up by its labels hashes them and locks; a request finds its
	// own here. Neither methods, nor routes, nor statuses are many.
	observers atomic.Pointer[map[answered]prometheus.Observer]
	adding    sync.Mutex
}

// answered is what the answers in one histogram have in common.
type answered struct {
	method, route string
	status        int
}

// NewMetrics makes the metrics, registered nowhere.
func NewMetrics() *Metrics {
	m := &Metrics{seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "kizo_http_request_seconds",
		Help:    "From the first byte of a request to its answer.",
		Buckets: secondsBuckets,
	}, []string{"method", "route", "status"}), streams: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kizo_event_streams", Help: "Streams of events that are open.",
	})}
	m.shed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kizo_http_shed_total", Help: "Requests sent away at once, because too many were under way.",
	})
	m.inFlight = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kizo_http_in_flight", Help: "Requests under way, without streams and those who wait for the bank.",
	}, func() float64 {
		if a := m.admitted.Load(); a != nil {
			return float64(a.inFlight.Load())
		}
		return 0
	})
	m.observers.Store(&map[answered]prometheus.Observer{})
	return m
}

// Seconds is the histogram of all requests.
func (m *Metrics) Seconds() prometheus.Collector { return m.seconds }

// Collectors are what to register.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.seconds, m.streams, m.shed, m.inFlight}
}

func (m *Metrics) observe(c *fiber.Ctx) error {
	started := time.Now()
	err := c.Next()
	a := answered{c.Method(), c.Route().Path, c.Response().StatusCode()}
	if err != nil {
		a.status = problemOf(err).Status
		if e, ok := errors.AsType[*fiber.Error](err); ok && (e.Code == http.StatusNotFound || e.Code == http.StatusMethodNotAllowed) {
			a.route = "none" // a path of the caller's making is no label
		}
	}
	m.observer(a).Observe(time.Since(started).Seconds())
	return err
}

func (m *Metrics) observer(a answered) prometheus.Observer {
	if known, ok := (*m.observers.Load())[a]; ok {
		return known
	}
	m.adding.Lock()
	defer m.adding.Unlock()
	more := maps.Clone(*m.observers.Load()) // readers hold no lock: they keep the map that they have
	more[a] = m.seconds.WithLabelValues(a.method, a.route, strconv.Itoa(a.status))
	m.observers.Store(&more)
	return more[a]
}
