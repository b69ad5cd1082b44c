package api

import (
	"errors"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of the HTTP side, by route and never by user.
type Metrics struct {
	seconds *prometheus.HistogramVec
	streams prometheus.Gauge
}

// NewMetrics makes the metrics, registered nowhere.
func NewMetrics() *Metrics {
	return &Metrics{seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "kizo_http_request_seconds",
		Help:    "From the first byte of a request to its answer.",
		Buckets: []float64{.001, .0025, .005, .01, .02, .03, .05, .075, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"method", "route", "status"}), streams: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kizo_event_streams", Help: "Streams of events that are open.",
	})}
}

// Seconds is the histogram of all requests.
func (m *Metrics) Seconds() prometheus.Collector { return m.seconds }

// Collectors are what to register.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.seconds, m.streams}
}

func (m *Metrics) observe(c *fiber.Ctx) error {
	started := time.Now()
	err := c.Next()
	route := c.Route().Path
	status := c.Response().StatusCode()
	if err != nil {
		status = problem(err).Status
		if e, ok := errors.AsType[*fiber.Error](err); ok && e.Code == fiber.StatusNotFound {
			route = "none" // a path of the caller's making is no label
		}
	}
	m.seconds.WithLabelValues(c.Method(), route, strconv.Itoa(status)).Observe(time.Since(started).Seconds())
	return err
}
