package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/JDevAman/kizo/server/ledger"
)

// opsHandler serves operators and their machines, on an address of its own.
func (s *Server) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { report(w, http.StatusOK, "live") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	return mux
}

// readyz tells whether requests should come here: the database answers and
// nobody has asked us to stop. Redis and the bank may be away: money moves
// without them, and what needs them waits.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	switch {
	case !s.ready.Load():
		report(w, http.StatusServiceUnavailable, "draining")
	case s.pool.Ping(ctx) != nil:
		report(w, http.StatusServiceUnavailable, "no database")
	default:
		report(w, http.StatusOK, "ready")
	}
}

func report(w http.ResponseWriter, status int, state string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": state}) // the prober may have gone
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
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kizo_ledger_commit_seconds", Help: "From a batch's first statement to its COMMIT's answer.",
			Buckets: []float64{.0005, .001, .002, .004, .008, .016, .032, .064, .125, .25, .5, 1, 2, 4, 8},
		}),
	}
}

func (m *batchMetrics) observe(b ledger.BatchStats) {
	m.size.Observe(float64(b.Commands))
	m.seconds.Observe(b.Duration.Seconds())
}

func newRegistry(pool *pgxpool.Pool, batches *batchMetrics, more ...[]prometheus.Collector) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		batches.size, batches.seconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kizo_database_connections_busy", Help: "Connections in use.",
		}, func() float64 { return float64(pool.Stat().AcquiredConns()) }),
	)
	for _, group := range more {
		r.MustRegister(group...)
	}
	return r
}
