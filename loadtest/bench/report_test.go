package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample is a report with a value in every field.
func sample() *Report {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	spent := rig.Gauge{
		At: at.Add(10 * time.Second), Elapsed: 10 * time.Second, Kizod: 4 * time.Second, Postgres: 3 * time.Second, Redis: 200 * time.Millisecond,
		Bank: 100 * time.Millisecond, Generator: 5 * time.Second, Machine: 17 * time.Second, RSS: 50 << 20, WAL: 2_000_000,
	}
	inPhase := spent
	inPhase.Machine = time.Duration(2*runtime.NumCPU()) * time.Second // of the CPUs that this machine has
	r := &Report{
		Scenario: "k6-sample", Description: "What was done.", Command: "make loadtest SCENARIO=k6-sample",
		Options: "100 connections", Began: at, SettledIn: 1500 * time.Millisecond, PeakRSS: 60 << 20, Audit: "21 checks passed in 0.1 s",
		Environment: rig.Environment{
			At: at, CPU: "Some CPU", CPUs: 2, MemoryMiB: 2048, Kernel: "6.1.0", Go: "go1.26", PostgreSQL: "15.18", Redis: "7.0.15",
			Commit: "abc1234", Fsync: 150 * time.Microsecond, Load: "0.50", Bank: "classic", Kizod: []string{"--roles", "api"},
			Settings: map[string]string{"fsync": "on", "synchronous_commit": "on"},
		},
		Phases: []Phase{
			{
				Name: "quiet", Step: "transfer", Seconds: 10, Accepted: 1000, Unknown: 1, Minor: 5000, Latency: Latency{1, 2, 3, 4, 5},
				Spent: inPhase, PeakRSS: 60 << 20, Batches: 100, Commands: 1000, Committing: time.Second,
			},
			{
				Name: "quiet", Step: "deposit", Seconds: 10, Accepted: 10, Shed: 3, Refused: 1, Failed: 2, Minor: 100,
				Latency: Latency{6, 7, 8, 9, 10}, ShedIn: &Latency{.1, .2, .3, .4, .5},
			},
		},
		Tables: []Table{{Header: []string{"Size", "ms"}, Rows: [][]string{{"large", "12"}, {"unknown"}}}},
		Spent:  spent,
		Checks: []Check{{"payment p99", "3.0 ms", "≤ 100 ms", true}, {"sign-in p99", "2,400 ms", "< 2,000 ms", false}},
		Notes:  []string{"Something to know."},
	}
	r.compareMoney(map[string]Money{
		"transfer": {Accepted: rig.Sum{Count: 1000, Minor: 5000}, Unknown: 1}, "deposit": {Accepted: rig.Sum{Count: 10, Minor: 100}},
	}, rig.Books{
		{Kind: "transfer", State: "posted"}: sum(1001, 5007), {Kind: "deposit", State: "posted"}: sum(8, 80), {Kind: "deposit", State: "voided"}: sum(1, 10),
	})
	return r
}

func sum(count, minor int64) rig.Sum { return rig.Sum{Count: count, Minor: minor} }

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
		t.Errorf("the report has changed (-update rewrites it):\n%s", text.String())
	}
}

// The JSON file contains the whole report.
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
		t.Errorf("the JSON differs:\n%s", text)
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
		{"all of it", Money{Accepted: sum(2, 20), Posted: sum(2, 20)}, true},
		{"rejected by the bank", Money{Accepted: sum(2, 20), Posted: sum(1, 15), Voided: sum(1, 5)}, true},
		{"one is missing", Money{Accepted: sum(2, 20), Posted: sum(1, 10)}, false},
		{"one too many", Money{Accepted: sum(2, 20), Posted: sum(3, 30)}, false},
		{"another amount", Money{Accepted: sum(2, 20), Posted: sum(2, 21)}, false},
		{"unknown, done", Money{Accepted: sum(2, 20), Unknown: 1, Posted: sum(3, 30)}, true},
		{"unknown, not done", Money{Accepted: sum(2, 20), Unknown: 1, Posted: sum(2, 20)}, true},
		{"more than the unknown", Money{Accepted: sum(2, 20), Unknown: 1, Posted: sum(4, 40)}, false},
		{"less, in spite of the unknown", Money{Accepted: sum(2, 20), Unknown: 1, Posted: sum(1, 10)}, false},
		{"less money, in spite of the unknown", Money{Accepted: sum(2, 20), Unknown: 1, Posted: sum(2, 19)}, false},
		{"still pending", Money{Accepted: sum(1, 10)}, false},
	} {
		if got := c.m.Agree(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if r := sample(); len(r.Wrong()) != 1 || len(r.Missed()) != 1 { // a deposit is missing, a target missed
		t.Errorf("wrong: %q; missed: %q", r.Wrong(), r.Missed())
	}
}
