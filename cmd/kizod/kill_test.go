package main

import (
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

const (
	kills       = 5
	acksPerLife = 100 // accepted commands before the next kill
	clients     = 10
)

// sent is a command and the outcome that its client knows.
type sent struct {
	command
	amount  int64
	to      *person // of a transfer
	outcome outcome // the last definite one
	known   bool
}

// history is what the clients know. kizod must not lose any of it.
type history struct {
	mu       sync.Mutex
	commands []*sent
	acks     int
	reached  chan struct{} // closed when acks is acksPerLife
}

func (h *history) begin(s *sent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commands = append(h.commands, s)
}

func (h *history) end(s *sent, o outcome, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil || !o.definite() {
		return
	}
	s.outcome, s.known = o, true
	if o.accepted() {
		if h.acks++; h.acks == acksPerLife {
			close(h.reached)
		}
	}
}

// kizod dev is killed repeatedly while it runs transfers, deposits and withdrawals. Each time it
// recovers by itself: the invariants hold, every acknowledged command is there, and a command
// without an answer is resolved by its key and has one effect.
func TestKillDuringTransfers(t *testing.T) {
	data := pgtest.TempDir(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	client := newClient()
	d := startDev(t, data)
	users := make([]*person, 4)
	initial := &history{reached: make(chan struct{})}
	for i, handle := range []string{"ann", "ben", "cat", "dan"} {
		users[i] = signUp(t, client, d.URL, handle)
		s := &sent{command: deposit(users[i], 1000_00), amount: 1000_00}
		initial.begin(s)
		o, err := s.send(client, d.URL, 20)
		if err != nil || o.status != http.StatusCreated {
			t.Fatalf("first deposit: %+v, %v", o, err)
		}
		initial.end(s, o, nil)
	}
	all := initial.commands

	for life := range kills {
		h := &history{reached: make(chan struct{})}
		stop := make(chan struct{})
		var loops sync.WaitGroup
		for i := range clients {
			random := rand.New(rand.NewPCG(seed, uint64(life*clients+i)))
			loops.Go(func() { h.loop(stop, client, d.URL, users, random) })
		}
		select {
		case <-h.reached:
		case <-d.done:
			t.Fatal("it ended before it was killed")
		case <-time.After(30 * time.Second):
			t.Fatalf("only %d commands were accepted in 30 s", h.acks)
		}
		d.crashes()
		close(stop)
		loops.Wait()
		client.CloseIdleConnections()

		began := time.Now()
		d = startDev(t, data)
		t.Logf("kill %d after %d accepted: ready again in %v, %d unknown", life+1, h.acks,
			time.Since(began).Round(time.Millisecond), resolve(t, client, d.URL, h.commands))
		all = append(all, h.commands...)
		if code, output := run(t, nil, "audit", "--data", data); code != 0 {
			t.Fatalf("the audit beside kizod exits with %d:\n%s", code, output)
		}
	}
	wantHistory(t, client, d.URL, users, all)
	wantJournal(t, data, all)
	d.stops()
	if code, output := run(t, nil, "audit", "--data", data); code != 0 {
		t.Fatalf("the audit after kizod has stopped exits with %d:\n%s", code, output)
	}
}

// loop sends one command after another until the connection is closed.
func (h *history) loop(stop <-chan struct{}, client *http.Client, url string, users []*person, random *rand.Rand) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		from, to := users[random.IntN(len(users))], users[random.IntN(len(users))]
		amount := 1 + random.Int64N(50_00)
		s := &sent{amount: amount}
		switch kind := random.IntN(10); {
		case kind == 0:
			s.command = deposit(from, amount)
		case kind == 1:
			s.command = withdrawal(from, amount)
		case from == to:
			continue
		default:
			s.command, s.to = transfer(from, amount, to), to
		}
		h.begin(s)
		o, err := s.send(client, url, 0)
		h.end(s, o, err)
		if err != nil {
			return // one unknown outcome for each client is enough
		}
	}
}

// resolve repeats the commands that have no answer, with their keys. It sends each twice, so that a
// second effect would be found. It returns how many there were.
func resolve(t *testing.T, client *http.Client, url string, commands []*sent) (unknown int) {
	t.Helper()
	for _, s := range commands {
		if s.known {
			continue
		}
		unknown++
		for range 2 {
			o, err := s.send(client, url, 0)
			if err != nil || !o.definite() {
				t.Fatalf("repeated: %+v, %v", o, err)
			}
			if s.known && o.id != s.outcome.id {
				t.Fatalf("one key, two transfers: %s and %s", s.outcome.id, o.id)
			}
			s.outcome, s.known = o, true
		}
	}
	return unknown
}

// wantHistory compares what the server has with what its clients know.
func wantHistory(t *testing.T, client *http.Client, url string, users []*person, all []*sent) {
	t.Helper()
	want := map[*person]int64{}
	ids := map[uuid.UUID]bool{}
	for _, s := range all {
		if s.outcome.id == uuid.Nil || ids[s.outcome.id] {
			t.Fatalf("another command has the same transfer: %+v", s.outcome)
		}
		ids[s.outcome.id] = true
		var got struct {
			State  string
			Amount int64
		}
		testkit.Eventually(t, "the transfer ends", func() bool {
			testkit.Must(t, s.from.get(client, url, "/v1/transfers/"+s.outcome.id.String(), &got))
			return got.State != "pending"
		})
		if got.Amount != s.amount || (got.State == "posted") != s.outcome.accepted() {
			t.Errorf("%s of %d was answered %d, and is %+v now", s.path, s.amount, s.outcome.status, got)
		}
		if got.State != "posted" {
			continue
		}
		switch {
		case s.to != nil:
			want[s.from] -= s.amount
			want[s.to] += s.amount
		case strings.HasSuffix(s.path, "deposits"):
			want[s.from] += s.amount
		default:
			want[s.from] -= s.amount
		}
	}
	for _, p := range users {
		got, err := p.wallet(client, url)
		testkit.Must(t, err)
		if got.Balance != want[p] || got.Held != 0 {
			t.Errorf("%s has %+v, want %d and nothing held", p.handle, got, want[p])
		}
	}
	// A key that was acknowledged before the first kill still gets its answer.
	first := all[len(users)]
	o, err := first.send(client, url, 0)
	if err != nil || o.id != first.outcome.id || !o.replayed {
		t.Errorf("an old key: %+v, %v, want %+v", o, err, first.outcome)
	}
	t.Logf("%d commands, %d transfers", len(all), len(ids))
}

// wantJournal checks the books of the bank: it executed each payment once, and nothing else.
func wantJournal(t *testing.T, data string, all []*sent) {
	t.Helper()
	entries, err := sim.ReadJournal(filepath.Join(data, "bank", "journal.jsonl"))
	testkit.Must(t, err)
	executed := map[string]int64{}
	for _, e := range entries { // ReadJournal fails if a reference occurs twice
		executed[e.Ref] = e.Amount
	}
	for _, s := range all {
		if s.to != nil || !s.outcome.accepted() {
			continue
		}
		id := s.outcome.id.String()
		if executed[id] != s.amount {
			t.Errorf("the bank moved %d for %s of %d", executed[id], s.path, s.amount)
		}
		delete(executed, id)
	}
	if len(executed) > 0 {
		t.Errorf("the bank executed payments that no client sent: %v", executed)
	}
}
