// Package model predicts how many transfers per second Kizo makes on a machine that is not at hand,
// from the service times that `bench run cores` measures on this one.
//
//	┌─► generator ─► kizod: request ─► command queue ─► a batch ─┐
//	│                                                            ▼
//	│                    kizod ─► PostgreSQL ─► locks ─► kizod ─► PostgreSQL ─► WAL flush ─┐
//	└── kizod: answer ◄────────────────────────────────────────────────────────────────────┘
//
// The generator, kizod and PostgreSQL use CPU time; each way between the last two takes half a
// round trip.
//
// It is a closed queueing network, simulated event by event: a fixed number of callers, each of
// which sends its next transfer when it has the answer to the last one. Each host is a number of
// cores that all threads on it share equally. A Go process has as many threads as its host has
// cores, and serves its work in order of arrival; PostgreSQL has one thread for each batch in
// flight. A command queue forms batches by the rules of server/ledger/commandqueue.go. A batch
// locks its accounts in order, and waits for those that a batch of another kizod has locked.
//
// What it leaves out: contention inside PostgreSQL, caches of the CPU, checkpoints, bulk commands
// and everything but transfers. So figures for many batches in flight at once are upper bounds.
//
// The package imports nothing of Kizo.
package model

import (
	"cmp"
	"slices"
	"time"
)

// Costs are measured service times.
type Costs struct {
	Generator       time.Duration `json:"generator_ns"`        // CPU time of the load generator for a transfer
	Request         time.Duration `json:"request_ns"`          // CPU time of kizod for a transfer, without its batch
	KizodBatch      time.Duration `json:"kizod_batch_ns"`      // CPU time of kizod for a batch of any size
	KizodCommand    time.Duration `json:"kizod_command_ns"`    // and for each of its commands
	PostgresBatch   time.Duration `json:"postgres_batch_ns"`   // CPU time of PostgreSQL for a batch of any size
	PostgresCommand time.Duration `json:"postgres_command_ns"` // and for each of its commands
	Flush           time.Duration `json:"flush_ns"`            // one fsync
}

// Machine is what the transfers run on. A zero value selects the default.
type Machine struct {
	Name     string
	Callers  int // transfers in progress at once; 100 if 0
	Accounts int // senders and payees, drawn at random; 1,000 if 0
	HotPayee bool

	Kizods     int // processes that share the callers; 1 if 0
	Committers int // of each kizod; 2 if 0
	MaxBatch   int // commands in a batch; 512 if 0
	Share      int // a batch beside another one has at least 1/Share of the commands of its kizod; 4 if 0

	// Cores of each host, and the number of the host of each program. Without Cores, everything
	// shares two cores. Others is how many cores of each host other programs use.
	Cores                      []int
	Others                     float64
	Generator, Kizod, Postgres int
	OwnGenerator               bool          // the generator runs elsewhere, and costs nothing
	RoundTrip                  time.Duration // between kizod and PostgreSQL
}

func (m Machine) complete() Machine {
	m.Callers, m.Accounts = cmp.Or(m.Callers, 100), cmp.Or(m.Accounts, 1000)
	m.Kizods, m.Committers = cmp.Or(m.Kizods, 1), cmp.Or(m.Committers, 2)
	m.MaxBatch, m.Share = cmp.Or(m.MaxBatch, 512), cmp.Or(m.Share, 4)
	if m.Cores == nil {
		m.Cores = []int{2}
	}
	return m
}

// Prediction is what the model expects of a machine.
type Prediction struct {
	PerSecond  float64 // transfers
	Batch      float64 // commands in a batch, on average
	P50, P99   time.Duration
	Busy       []float64 // share of each host's cores without other programs, 0 to 1
	Committing float64   // share of the time that a committer has a batch, 0 to 1
	LockWait   float64   // share of that time in which the batch waits for locks, 0 to 1
}

// Simulated transfers: those at the start, while the queues fill, are not counted.
const (
	warmUp  = 10_000
	counted = 60_000
)

// Predict simulates 70,000 transfers. The same arguments give the same result.
func Predict(c Costs, m Machine) Prediction {
	s := newSimulation(c, m.complete())
	for s.done < warmUp {
		s.step()
	}
	s.reset()
	for s.done < counted {
		s.step()
	}
	return s.prediction()
}

// CPUs is how many cores are busy on average, of all hosts together, without other programs.
func (p Prediction) CPUs(m Machine) (busy float64) {
	for i, cores := range m.complete().Cores {
		busy += p.Busy[i] * float64(cores)
	}
	return busy
}

// Limit names what keeps the machine from more transfers per second.
func (p Prediction) Limit() string {
	const saturated = 0.9
	switch {
	case len(p.Busy) > 0 && slices.Max(p.Busy) > saturated:
		return "CPU"
	case p.Committing > saturated && p.LockWait > 0.3:
		return "locks of other kizods"
	case p.Committing > saturated:
		return "committers"
	default:
		return "turns: callers, kizod and PostgreSQL wait for each other"
	}
}

// MaxByCPU is the utilization law: no machine makes more transfers per second than its cores have
// CPU time for, with batches of this size.
func MaxByCPU(c Costs, cores int, batch float64) float64 {
	return float64(cores) / (c.Generator + c.Request + c.batch(batch)).Seconds()
}

// MaxByCommitters is the same law for the committers, which make one batch after the other: no
// number of cores makes more transfers per second with batches of this size.
func MaxByCommitters(c Costs, committers int, batch float64, roundTrip time.Duration) float64 {
	perBatch := float64(c.batch(batch))*batch + float64(c.Flush+2*roundTrip)
	return float64(committers) * batch / (perBatch / float64(time.Second))
}

// batch is the CPU time of a command's share of a batch of this size.
func (c Costs) batch(size float64) time.Duration {
	return c.KizodCommand + c.PostgresCommand + time.Duration(float64(c.KizodBatch+c.PostgresBatch)/size)
}
