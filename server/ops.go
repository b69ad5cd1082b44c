package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// opsHandler serves operators and their machines, on an address of its own.
func (s *Server) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { report(w, http.StatusOK, "live") })
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux
}

// readyz tells whether requests should come here: the database answers and accepts
// writes, and nobody has asked us to stop. Redis and the bank may be away: money moves
// without them, and what needs them waits.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if !s.ready.Load() {
		report(w, http.StatusServiceUnavailable, "draining")
		return
	}
	refusal := s.restored.refusal.Load()
	switch state, err := s.database.look(ctx); {
	case err != nil:
		report(w, http.StatusServiceUnavailable, "no database", "reason", err.Error())
	case !state.writable:
		report(w, http.StatusServiceUnavailable, "database is read-only")
	case refusal != nil:
		report(w, http.StatusServiceUnavailable, "database was restored", "reason", *refusal)
	default:
		report(w, http.StatusOK, "ready")
	}
}

// report answers with the state, and with more fields as name, value, name, value.
func report(w http.ResponseWriter, status int, state string, more ...string) {
	fields := map[string]string{"status": state}
	for i := 0; i+1 < len(more); i += 2 {
		fields[more[i]] = more[i+1]
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(fields) // the prober may have gone
}
