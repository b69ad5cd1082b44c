package model

import (
	"math"
	"testing"
	"time"
)

const µs = time.Microsecond

// costs are of the size that two cores of a server showed.
var costs = Costs{
	Generator: 15 * µs, Request: 45 * µs, KizodBatch: 300 * µs, KizodCommand: 10 * µs,
	PostgresBatch: 1000 * µs, PostgresCommand: 60 * µs, Flush: 260 * µs,
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got/want-1) > tolerance {
		t.Errorf("%s: %.4g, want %.4g ± %.0f %%", what, got, want, 100*tolerance)
	}
}

// One caller never waits: its transfers take the sum of all service times.
func TestOneCaller(t *testing.T) {
	m := Machine{Callers: 1, Cores: []int{8, 8, 8}, Kizod: 1, Postgres: 2, RoundTrip: time.Millisecond}
	p := Predict(costs, m)
	sum := costs.Generator + costs.Request + costs.batch(1) + costs.Flush + 2*m.RoundTrip
	near(t, "transfers/s", p.PerSecond, 1/sum.Seconds(), 0.01)
	near(t, "commands in a batch", p.Batch, 1, 0)
	near(t, "CPUs", p.CPUs(m), p.PerSecond*(sum-costs.Flush-2*m.RoundTrip).Seconds(), 0.01)
}

// One core with enough callers is always busy: the utilization law.
func TestOneCore(t *testing.T) {
	p := Predict(costs, Machine{Cores: []int{1}})
	near(t, "transfers/s", p.PerSecond, MaxByCPU(costs, 1, p.Batch), 0.02)
	if p.Limit() != "CPU" {
		t.Errorf("limit: %s", p.Limit())
	}
	beside := Predict(costs, Machine{Cores: []int{1}, Others: 0.3})
	near(t, "transfers/s beside other programs", beside.PerSecond, 0.7*MaxByCPU(costs, 1, beside.Batch), 0.05)
}

// With any number of cores, one committer writes one batch after the other.
func TestOneCommitter(t *testing.T) {
	m := Machine{Callers: 2000, Accounts: 1_000_000, Committers: 1, Cores: []int{128}, RoundTrip: time.Millisecond}
	p := Predict(costs, m)
	near(t, "commands in a batch", p.Batch, 512, 0.01)
	near(t, "transfers/s", p.PerSecond, MaxByCommitters(costs, 1, p.Batch, m.RoundTrip), 0.02)
	if p.Limit() != "committers" {
		t.Errorf("limit: %s", p.Limit())
	}
}

// Batches beside each other share no account, so that a second committer does not help a hot payee.
func TestHotPayee(t *testing.T) {
	hot := func(committers int) Machine {
		return Machine{HotPayee: true, Committers: committers, Cores: []int{32}}
	}
	near(t, "two committers", Predict(costs, hot(2)).PerSecond, Predict(costs, hot(1)).PerSecond, 0.02)
	apart := Machine{Committers: 2, Cores: []int{32}}
	if p := Predict(costs, apart); p.PerSecond < 1.2*Predict(costs, hot(2)).PerSecond {
		t.Errorf("random pairs are not faster than a hot payee: %.0f", p.PerSecond)
	}
}

// Two kizods have batches that share accounts: those wait for locks, one kizod's never do.
func TestLocksOfOtherKizods(t *testing.T) {
	m := Machine{Kizods: 2, Cores: []int{32}}
	few := Predict(costs, m)
	m.Accounts = 10_000_000
	many := Predict(costs, m)
	if few.LockWait < 0.2 || many.LockWait > 0.01 || few.PerSecond > 0.9*many.PerSecond {
		t.Errorf("1,000 accounts: %.0f/s, %.2f of it for locks; 10,000,000: %.0f/s, %.2f", few.PerSecond, few.LockWait, many.PerSecond, many.LockWait)
	}
	if one := Predict(costs, Machine{}); one.LockWait != 0 {
		t.Errorf("one kizod waits for locks: %.2f", one.LockWait)
	}
}

// While a batch is in flight, the next one has 24 commands or a quarter of all: with 8 committers,
// four batches are in flight at most.
func TestShareBoundsBatchesInFlight(t *testing.T) {
	m := Machine{Callers: 1000, Accounts: 1_000_000, Committers: 8, Cores: []int{128}}
	if p := Predict(costs, m); p.Committing*8 > 4.2 {
		t.Errorf("%.1f batches in flight", p.Committing*8)
	}
	m.Share = 16
	if p := Predict(costs, m); p.Committing*8 < 6 {
		t.Errorf("%.1f batches in flight with smaller ones", p.Committing*8)
	}
}

func TestSameResultAgain(t *testing.T) {
	if a, b := Predict(costs, Machine{}), Predict(costs, Machine{}); a.PerSecond != b.PerSecond || a.P99 != b.P99 {
		t.Errorf("%+v and %+v", a, b)
	}
}
