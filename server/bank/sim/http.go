package sim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/server/bank"
)

const (
	maxBody          = 16 << 10
	defaultPageLimit = 100

	opSubmit = "submit"
	opStatus = "status"
)

// Handler returns the HTTP handler of the bank. It is safe for concurrent use.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.Handle("POST /v1/payments", s.guard(s.submit))
	mux.Handle("GET /v1/payments/{ref}", s.guard(s.status))
	mux.Handle("GET /v1/statement", s.guard(s.statement))
	return mux
}

// guard requires the token, and rejects requests that exceed maxInFlight with 503.
func (s *Server) guard(next http.HandlerFunc) http.Handler {
	want := sha256.Sum256([]byte("Bearer " + s.cfg.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		if s.cfg.Token != "" && subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			writeError(w, http.StatusUnauthorized, "bearer token is missing or wrong")
			return
		}
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
			next(w, r)
		default:
			writeError(w, http.StatusServiceUnavailable, "too many requests in progress")
		}
	})
}

func (s *Server) submit(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		status := http.StatusBadRequest
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			status = http.StatusRequestEntityTooLarge
		}
		writeError(w, status, "body is incomplete or larger than 16 KiB")
		return
	}
	in, err := parseInstruction(body)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	traceID := s.logRequest(r, in.Ref)
	attempt := s.payments.countSubmit(in.Ref)
	if attempt == 1 {
		s.assign(in)
	}
	faults := s.faultsOf(in.Ref, opSubmit, attempt)
	p := faults.planFor(s.cfg.Seed, opSubmit, in.Ref, attempt)
	if !s.applyFaults(w, p) {
		return
	}
	decide := s.decide(in, faults)
	e, first, err := s.payments.execute(in, func(seq int64) *Entry {
		entry := decide(seq)
		entry.TraceID = traceID
		return entry
	})
	if err != nil {
		s.writeFailure(w, err)
		return
	}
	if first && s.callbacks != nil {
		s.callbacks.enqueue(e, faults.callbackPlan(s.cfg.Seed, e.Ref))
	}
	if p.cut {
		_ = s.wait(s.ctx, p.stall) // the connection is closed in both cases
		panic(http.ErrAbortHandler)
	}
	s.writeAnswer(w, r, e, p.lie)
}

// logRequest logs a request and returns its trace id, or "" if it has none.
func (s *Server) logRequest(r *http.Request, ref string) (traceID string) {
	span, _ := trace.Parse(r.Header.Get(trace.Header))
	s.cfg.Log.Debug("mock bank received a request", "method", r.Method, "ref", ref, "trace_id", span.TraceID())
	return span.TraceID()
}

// writeAnswer sends the answer about an entry. It stores a lie before it sends it, unless the
// client has gone.
func (s *Server) writeAnswer(w http.ResponseWriter, r *http.Request, e *Entry, l lie) {
	if l != noLie {
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler)
		}
		if err := s.lies.write(Lie{Ref: e.Ref, Kind: l.String(), At: s.cfg.Clock().UTC()}); err != nil {
			s.writeFailure(w, err)
			return
		}
	}
	writeJSON(w, http.StatusOK, l.answer(e))
}

// applyFaults waits and fails as p says, and reports whether the request continues. It ignores
// that the client has gone, as a bank does: this is why a 404 is not a rejection.
func (s *Server) applyFaults(w http.ResponseWriter, p faultPlan) bool {
	if s.wait(s.ctx, p.wait) != nil {
		panic(http.ErrAbortHandler) // the bank is closing
	}
	if p.fail != 0 {
		writeError(w, p.fail, "the bank has an internal failure")
		return false
	}
	return true
}

// writeFailure answers a request whose entry could not be stored or read.
func (s *Server) writeFailure(w http.ResponseWriter, err error) {
	if errors.Is(err, errConflict) {
		writeError(w, http.StatusConflict, "this ref belongs to another instruction")
		return
	}
	s.cfg.Log.Error("mock bank cannot write its journal", "error", err)
	writeError(w, http.StatusServiceUnavailable, "the journal cannot be written")
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	ref := r.PathValue("ref")
	if !bank.ValidRef(ref) {
		writeError(w, http.StatusBadRequest, "ref must be 1 to 64 of A-Z a-z 0-9 _ -")
		return
	}
	s.logRequest(r, ref)
	var p faultPlan
	if attempt := s.payments.countStatus(ref); attempt > 0 {
		p = s.faultsOf(ref, opStatus, attempt).planFor(s.cfg.Seed, opStatus, ref, attempt)
		if !s.applyFaults(w, p) {
			return
		}
	}
	e, err := s.payments.find(ref)
	switch {
	case err != nil:
		s.writeFailure(w, err)
	case e == nil:
		writeError(w, http.StatusNotFound, "no payment has this ref")
	default:
		s.writeAnswer(w, r, e, p.lie)
	}
}

// statement lists entries of the journal. No fault affects it.
func (s *Server) statement(w http.ResponseWriter, r *http.Request) {
	after, okAfter := queryInt(r, "after", 0)
	limit, okLimit := queryInt(r, "limit", defaultPageLimit)
	if !okAfter || !okLimit || limit < 1 || limit > bank.MaxPageSize {
		writeError(w, http.StatusBadRequest, "after must be 0 or more and limit 1 to 200")
		return
	}
	page := struct {
		Entries []Entry `json:"entries"`
		Next    int64   `json:"next"`
	}{Entries: []Entry{}, Next: after}
	for _, e := range s.payments.page(after, int(limit)) {
		line := *e
		line.Reason, line.TraceID = "", "" // not part of a statement; without them a page fits into bank.MaxBody
		page.Entries, page.Next = append(page.Entries, line), line.Seq
	}
	writeJSON(w, http.StatusOK, page)
}

func queryInt(r *http.Request, name string, missing int64) (int64, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return missing, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := s.payments.journal.health(); err != nil {
		s.writeFailure(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{"error": message})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(http.ErrAbortHandler) // close the connection without an answer
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a client that has gone asks again
}
