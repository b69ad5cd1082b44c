package monitoring

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves /metrics, /livez and /readyz, for operators and their machines.
func Handler(registry *prometheus.Registry, ready *Readiness) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		report(w, http.StatusOK, map[string]string{"status": "live"})
	})
	mux.Handle("GET /readyz", ready)
	return mux
}

// Readiness answers /readyz: whether a load balancer should send requests to this process. It
// should while the process serves and the database answers, accepts writes and was not restored
// from a backup. Redis and the bank may be unavailable: money moves without them, and the
// payments that need them wait. The answer reports them for people and programs that look.
type Readiness struct {
	Build        Build
	Serving      func() bool // false before the server has started, and while it drains
	Database     *Database
	Restored     *RestoredCheck
	Dependencies *Dependencies
	BankAnswers  func() bool          // whether the circuit breaker of the bank is closed; nil if this process settles no payments
	HashQueue    func() (int64, bool) // the callers in the hash queue, and whether it is full; nil if this process hashes no passwords
}

// readyTimeout bounds the query to the database, and that to Redis.
const readyTimeout = time.Second

// readiness is the answer of /readyz.
type readiness struct {
	Status    string     `json:"status"`           // "ready", or why requests should go elsewhere
	Reason    string     `json:"reason,omitempty"` // more about the status
	Version   string     `json:"version"`
	Roles     []string   `json:"roles"`
	Database  string     `json:"database"`       // writable, read-only, restored, or no answer
	Redis     string     `json:"redis"`          // answers, or no answer
	Bank      string     `json:"bank,omitempty"` // answers, or no answer
	HashQueue *hashQueue `json:"hash_queue,omitempty"`
}

type hashQueue struct {
	Waiting int64 `json:"waiting"` // log-ins and sign-ups whose passwords are being hashed, or wait for it
	Full    bool  `json:"full"`    // a log-in that begins now is refused
}

func (r *Readiness) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	ctx, cancel := context.WithTimeout(request.Context(), readyTimeout)
	defer cancel()
	answer := readiness{Status: "ready", Version: r.Build.Version, Roles: strings.Split(r.Build.Roles, ","), Redis: "no answer"}
	var asking sync.WaitGroup
	asking.Go(func() {
		if r.Dependencies.redisAnswers(ctx) {
			answer.Redis = "answers"
		}
	})
	state, err := r.Database.check(ctx)
	asking.Wait()
	restored := r.Restored.reason.Load()
	switch {
	case err != nil:
		answer.Status, answer.Reason, answer.Database = "no database", err.Error(), "no answer"
	case !state.writable:
		answer.Status, answer.Database = "database is read-only", "read-only"
	case restored != nil:
		answer.Status, answer.Reason, answer.Database = "database was restored", *restored, "restored"
	default:
		answer.Database = "writable"
	}
	if !r.Serving() {
		answer.Status, answer.Reason = "draining", ""
	}
	if r.BankAnswers != nil {
		answer.Bank = "no answer"
		if r.BankAnswers() {
			answer.Bank = "answers"
		}
	}
	if r.HashQueue != nil {
		waiting, full := r.HashQueue()
		answer.HashQueue = &hashQueue{waiting, full}
	}
	status := http.StatusServiceUnavailable
	if answer.Status == "ready" {
		status = http.StatusOK
	}
	report(w, status, answer)
}

func report(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client may have disconnected
}
