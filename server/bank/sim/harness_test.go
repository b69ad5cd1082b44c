package sim

import (
	"context"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

const (
	longTimeout  = 30 * time.Second
	shortTimeout = 50 * time.Millisecond
)

// testBank is a mock bank on a real port.
type testBank struct {
	*Server
	url, journal string
}

// start opens a bank. change may change its configuration.
func start(t *testing.T, change func(*Config)) *testBank {
	t.Helper()
	cfg := Config{Journal: filepath.Join(t.TempDir(), "bank", "journal.jsonl"), Open: true, Seed: 7}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		s.stop() // ends hanging requests, for which web.Close would wait
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &testBank{s, web.URL, cfg.Journal}
}

func (r *testBank) client(t *testing.T, timeout time.Duration) *bank.Client {
	t.Helper()
	c, err := bank.NewClient(bank.ClientConfig{URL: r.url, Token: r.cfg.Token, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (r *testBank) read(t *testing.T) []Entry {
	t.Helper()
	entries, err := ReadJournal(r.journal)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func withFaults(f Faults) func(*Config) { return func(c *Config) { c.Faults = f } }

func pay(n int) bank.Instruction {
	in := bank.Instruction{Ref: fmt.Sprintf("ref-%d", n), Direction: bank.Deposit, Amount: int64(n + 1), Currency: "USD"}
	if n%2 == 1 {
		in.Direction = bank.Withdrawal
	}
	return in
}

// outcome returns the answer to Submit without faults, and checks that Status gives the same one.
func outcome(t *testing.T, r *testBank, in bank.Instruction) bank.Answer {
	t.Helper()
	if err := r.SetFaults(Faults{}); err != nil {
		t.Fatal(err)
	}
	c := r.client(t, longTimeout)
	submitted, err := c.Submit(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	status, err := c.Status(context.Background(), in)
	if err != nil || status != submitted {
		t.Fatalf("status says %+v, %v; submit said %+v", status, err, submitted)
	}
	return status
}
