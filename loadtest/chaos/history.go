package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// kind of an operation: the kind of its row in the ledger.
type kind string

const (
	transfer   kind = "transfer"
	authorize  kind = "authorization"
	deposit    kind = "deposit"
	withdrawal kind = "withdrawal"
	reversal   kind = "reversal"
	capture    kind = "capture"
	void       kind = "void"
)

// outcome of one attempt, as its client understood it.
type outcome string

const (
	accepted outcome = "ok"      // it has an effect, or will have one one
	refused  outcome = "refused" // it has no effect and never will have one
	failed   outcome = "fail"    // this attempt did nothing
	unknown  outcome = "unknown" // it may have had an effect or not
)

// attempt is one request and its result.
type attempt struct {
	Began    time.Duration `json:"began"` // since the run's start
	Ended    time.Duration `json:"ended"`
	Outcome  outcome       `json:"outcome"`
	Status   int           `json:"status,omitempty"`
	Code     string        `json:"code,omitempty"`
	Transfer uuid.UUID     `json:"transfer"`
	Kind     string        `json:"kind,omitempty"`
	State    string        `json:"state,omitempty"`
	Amount   int64         `json:"amount,omitempty"`
	Replayed bool          `json:"replayed,omitempty"`
	Note     string        `json:"note,omitempty"`
}

// definite reports whether the answer gives the outcome of the key.
func (a attempt) definite() bool { return a.Outcome == accepted || a.Outcome == refused }

// operation is one command of a user under one key, which may be sent several times.
type operation struct {
	kind   kind
	user   *user
	payee  *user // of a transfer or authorization; else nil
	amount int64 // 0: the whole amount
	key    string
	path   string
	fields map[string]any // of the body; nil: none
	target *operation     // of a capture, void or reversal
	atomic []*operation   // the atomic batch that it belongs to, itself included; else nil

	mu       sync.Mutex
	attempts []attempt
}

func (o *operation) record(a attempt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.attempts = append(o.attempts, a)
}

// tries returns a copy of the attempts so far.
func (o *operation) tries() []attempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.attempts)
}

// conclusion returns what is known about the key: the first definite answer if there is one,
// otherwise an unknown attempt if there is one, otherwise a failed one.
func (o *operation) conclusion() attempt {
	last := attempt{Outcome: failed}
	for _, a := range o.tries() {
		if a.definite() {
			return a
		}
		if a.Outcome == unknown || last.Outcome == failed {
			last = a
		}
	}
	return last
}

func (o *operation) String() string {
	tries, err := json.Marshal(o.tries())
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s by %s, key %s, POST %s %s: %s", o.kind, o.user.handle, o.key, o.path, encode(o.fields), tries)
}

// history contains every operation of a run, and those that later operations may refer to.
type history struct {
	began time.Time

	mu       sync.Mutex
	all      []*operation
	accepted map[kind][]*operation
	seconds  map[int]int // attempts that ended in each second
	reads    []reading
}

// reading is an answer about a user's wallet.
type reading struct {
	user                     *user
	began, ended             time.Duration
	balance, held, available int64
}

func newHistory() *history {
	return &history{began: time.Now(), accepted: make(map[kind][]*operation), seconds: make(map[int]int)}
}

func (h *history) now() time.Duration { return time.Since(h.began) }

func (h *history) add(o *operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, o)
}

// learn records an accepted attempt, so that later operations can refer to it.
func (h *history) learn(o *operation, a attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seconds[int(a.Ended/time.Second)]++
	if a.Outcome == accepted && !a.Replayed {
		h.accepted[o.kind] = append(h.accepted[o.kind], o)
	}
}

func (h *history) read(r reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seconds[int(r.ended/time.Second)]++
	h.reads = append(h.reads, r)
}

// operations returns all operations so far.
func (h *history) operations() []*operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

// pick returns one of the newest operations of a kind that were accepted, or of all
// operations if the kind is empty; nil if there is none. roll chooses.
func (h *history) pick(k kind, roll func(int) int) *operation {
	const newest = 400
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.accepted[k]
	if k == "" {
		list = h.all
	}
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1-roll(min(len(list), newest))]
}
