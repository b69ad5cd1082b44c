package rig

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a report with something in every place.
func sample() *Report {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	r := &Report{
		Scenario: "k6-sample", Sentence: "What was done.", Command: "make loadtest SCENARIO=k6-sample",
		Began: at, Took: 10 * time.Second, SettledIn: 1500 * time.Millisecond, PeakRSS: 60 << 20, Audit: "21 checks passed in 0.1 s",
		Environment: Environment{
			At: at, CPU: "Some CPU", CPUs: 2, MemoryMiB: 2048, Kernel: "6.1.0", Go: "go1.26", PostgreSQL: "15.18", Redis: "7.0.15",
			Commit: "abc1234", Fsync: 150 * time.Microsecond, Load: "0.50", Bank: "classic", Kizod: []string{"--roles", "api"},
			Settings: map[string]string{"fsync": "on", "synchronous_commit": "on"},
		},
		Steps: []Step{
			{Name: "transfer", Phase: "quiet", Seconds: 10, Accepted: 1000, Unknown: 1, Minor: 5000, Latency: Latency{1, 2, 3, 4, 5}},
			{Name: "deposit", Phase: "quiet", Seconds: 10, Accepted: 10, Refused: 3, Minor: 100, Latency: Latency{6, 7, 8, 9, 10}, Refusal: Latency{.1, .2, .3, .4, .5}},
		},
		Spent: Gauge{
			At: at.Add(10 * time.Second), Elapsed: 10 * time.Second, Kizod: 4 * time.Second, Postgres: 3 * time.Second, Redis: 200 * time.Millisecond,
			Bank: 100 * time.Millisecond, Generator: 5 * time.Second, Machine: 17 * time.Second, RSS: 50 << 20,
		},
		Checks: []Check{{"payment p99", "3.0 ms", "≤ 100 ms", true}, {"sign-in p99", "2,400 ms", "< 2,000 ms", false}},
		Notes:  []string{"Something to know."},
	}
	r.CompareMoney(Books{
		{"transfer", "posted"}: {1001, 5007}, {"deposit", "posted"}: {8, 80}, {"deposit", "voided"}: {1, 10},
	})
	return r
}

func TestReportGolden(t *testing.T) {
	const golden = "testdata/report.md"
	var text bytes.Buffer
	sample().WriteMarkdown(&text)
	if *update {
		if err := os.WriteFile(golden, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text.Bytes(), want) {
		t.Errorf("the report has changed (-update writes it anew):\n%s", text.String())
	}
}

// What is written is there as JSON too, and can be read again.
func TestReportFiles(t *testing.T) {
	r := sample()
	path, err := r.WriteFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&again, r) {
		t.Errorf("the JSON says something else:\n%s", text)
	}
	if _, err := os.Stat(path + ".md"); err != nil {
		t.Error(err)
	}
}

func TestMoneyAgrees(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Money
		want bool
	}{
		{"all of it", Money{Accepted: Sum{2, 20}, Posted: Sum{2, 20}}, true},
		{"rejected by the bank", Money{Accepted: Sum{2, 20}, Posted: Sum{1, 15}, Voided: Sum{1, 5}}, true},
		{"one is missing", Money{Accepted: Sum{2, 20}, Posted: Sum{1, 10}}, false},
		{"one too many", Money{Accepted: Sum{2, 20}, Posted: Sum{3, 30}}, false},
		{"another amount", Money{Accepted: Sum{2, 20}, Posted: Sum{2, 21}}, false},
		{"unknown, done", Money{Accepted: Sum{2, 20}, Unknown: 1, Posted: Sum{3, 30}}, true},
		{"unknown, not done", Money{Accepted: Sum{2, 20}, Unknown: 1, Posted: Sum{2, 20}}, true},
		{"more than the unknown", Money{Accepted: Sum{2, 20}, Unknown: 1, Posted: Sum{4, 40}}, false},
		{"less, in spite of the unknown", Money{Accepted: Sum{2, 20}, Unknown: 1, Posted: Sum{1, 10}}, false},
		{"less money, in spite of the unknown", Money{Accepted: Sum{2, 20}, Unknown: 1, Posted: Sum{2, 19}}, false},
		{"still pending", Money{Accepted: Sum{1, 10}}, false},
	} {
		if got := c.m.Agree(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if r := sample(); len(r.Wrong()) != 1 || len(r.Missed()) != 1 { // a deposit is missing, a target missed
		t.Errorf("wrong: %q; missed: %q", r.Wrong(), r.Missed())
	}
}

func TestBooksSince(t *testing.T) {
	before := Books{{"deposit", "pending"}: {2, 20}, {"transfer", "posted"}: {1, 5}}
	after := Books{{"deposit", "posted"}: {2, 20}, {"transfer", "posted"}: {3, 9}}
	since := after.Since(before)
	want := Books{{"deposit", "posted"}: {2, 20}, {"deposit", "pending"}: {-2, -20}, {"transfer", "posted"}: {2, 4}}
	if !reflect.DeepEqual(since, want) || since.Settled() != (Sum{4, 24}) {
		t.Errorf("got %v", since)
	}
}
