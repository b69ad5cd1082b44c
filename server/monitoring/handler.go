package monitoring

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves /metrics, /livez and /readyz, for operators and their machines.
func Handler(registry *prometheus.Registry, ready *Readiness) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { report(w, http.StatusOK, "live") })
	mux.Handle("GET /readyz", ready)
	return mux
}

// Readiness answers /readyz: whether a load balancer should send requests to this process. It
// should while the process serves and the database answers, accepts writes and was not restored
// from a backup. Redis and the bank may be unavailable: money moves without them, and the
// payments that need them wait.
type Readiness struct {
	Serving  func() bool // false before the server has started, and while it drains
	Database *Database
	Restored *RestoredCheck
}

// readyTimeout bounds the query to the database.
const readyTimeout = time.Second

func (r *Readiness) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	ctx, cancel := context.WithTimeout(request.Context(), readyTimeout)
	defer cancel()
	if !r.Serving() {
		report(w, http.StatusServiceUnavailable, "draining")
		return
	}
	restored := r.Restored.reason.Load()
	switch state, err := r.Database.check(ctx); {
	case err != nil:
		report(w, http.StatusServiceUnavailable, "no database", "reason", err.Error())
	case !state.writable:
		report(w, http.StatusServiceUnavailable, "database is read-only")
	case restored != nil:
		report(w, http.StatusServiceUnavailable, "database was restored", "reason", *restored)
	default:
		report(w, http.StatusOK, "ready")
	}
}

// report answers with a status, and with more fields as name, value, name, value.
func report(w http.ResponseWriter, status int, state string, more ...string) {
	fields := map[string]string{"status": state}
	for i := 0; i+1 < len(more); i += 2 {
		fields[more[i]] = more[i+1]
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(fields) // the client may have disconnected
}
