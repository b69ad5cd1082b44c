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

// Handler is the bank's HTTP face. It is safe for concurrent use.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.Handle("POST /v1/payments", s.guard(s.submit))
	mux.Handle("GET /v1/payments/{ref}", s.guard(s.status))
	mux.Handle("GET /v1/statement", s.guard(s.statement))
	return mux
}

// guard asks for the token and a free slot.
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
			writeError(w, http.StatusServiceUnavailable, "too many requests under way")
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
	traceID := s.heard(r, in.Ref)
	p := s.faults.Load().planFor(s.cfg.Seed, opSubmit, in.Ref, s.book.countSubmit(in.Ref))
	if !s.endure(w, p) {
		return
	}
	decide := s.decide(in)
	e, first, err := s.book.execute(in, func(seq int64) *Entry {
		entry := decide(seq)
		entry.TraceID = traceID
		return entry
	})
	if err != nil {
		s.refuse(w, err)
		return
	}
	if first && s.post != nil {
		s.post.announce(e, s.faults.Load().callbackPlan(s.cfg.Seed, e.Ref))
	}
	if p.cut {
		_ = s.wait(s.ctx, p.stall) // the line is cut either way
		panic(http.ErrAbortHandler)
	}
	s.tell(w, r, e, p.lie)
}

// heard notes in whose name a call is made; "" if it does not say.
func (s *Server) heard(r *http.Request, ref string) (traceID string) {
	named, _ := trace.Parse(r.Header.Get(trace.Header))
	s.cfg.Log.Debug("mock bank is asked", "method", r.Method, "ref", ref, "trace_id", named.TraceID())
	return named.TraceID()
}

// tell answers about an entry. A lie is written down before it is told, unless there
// is nobody to tell it to any more.
func (s *Server) tell(w http.ResponseWriter, r *http.Request, e *Entry, l lie) {
	if l != truth {
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler)
		}
		if err := s.lies.write(Lie{Ref: e.Ref, Kind: l.String(), At: s.cfg.Clock().UTC()}); err != nil {
			s.refuse(w, err)
			return
		}
	}
	writeJSON(w, http.StatusOK, l.tell(e))
}

// endure lives through what comes before execution. It does not watch the
// client: a bank goes on with what it was asked although the asker has left,
// which is why "not found" is no rejection.
func (s *Server) endure(w http.ResponseWriter, p plan) bool {
	if s.wait(s.ctx, p.wait) != nil {
		panic(http.ErrAbortHandler) // the bank closes
	}
	if p.fail != 0 {
		writeError(w, p.fail, "the bank is not well")
		return false
	}
	return true
}

func (s *Server) refuse(w http.ResponseWriter, err error) {
	if errors.Is(err, errConflict) {
		writeError(w, http.StatusConflict, "this ref belongs to another instruction")
		return
	}
	s.cfg.Log.Error("mock bank cannot write", "error", err)
	writeError(w, http.StatusServiceUnavailable, "the journal cannot be written")
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	ref := r.PathValue("ref")
	if !bank.ValidRef(ref) {
		writeError(w, http.StatusBadRequest, "ref must be 1 to 64 of A-Z a-z 0-9 _ -")
		return
	}
	s.heard(r, ref)
	var p plan
	if attempt := s.book.countStatus(ref); attempt > 0 {
		p = s.faults.Load().planFor(s.cfg.Seed, opStatus, ref, attempt)
		if !s.endure(w, p) {
			return
		}
	}
	e, err := s.book.find(ref)
	switch {
	case err != nil:
		s.refuse(w, err)
	case e == nil:
		writeError(w, http.StatusNotFound, "no payment has this ref")
	default:
		s.tell(w, r, e, p.lie)
	}
}

// statement is never disturbed: an auditor's source.
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
	for _, e := range s.book.page(after, int(limit)) {
		line := *e
		line.Reason, line.TraceID = "", "" // not part of a statement, and keeps a page below the client's bound
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
	if err := s.book.journal.health(); err != nil {
		s.refuse(w, err)
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
		panic(http.ErrAbortHandler) // no answer is better than half of one
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a client that left asks again
}
