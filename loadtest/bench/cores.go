package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/JDevAman/kizo/loadtest/model"
	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/ledger"
)

// maxModelError is how far a prediction may be from the measurement, in percent.
const maxModelError = 10

// arrangement is an assignment of the programs to the CPUs, and what the model knows of it.
type arrangement struct {
	rig.Placement
	model.Machine
	second bool // half of the callers use a second kizod
}

// arrangements are what is measured over HTTP on two CPUs. Service times come from the first one.
func (b *bench) arrangements() []arrangement {
	both, first, last := []int{0, 1}, []int{0}, []int{1}
	all := []arrangement{
		{rig.Placement{Postgres: both, Kizod: both, Generator: both}, model.Machine{Name: "shared", Cores: []int{2}}, false},
		{rig.Placement{Postgres: first, Kizod: last, Generator: last}, model.Machine{Name: "PostgreSQL apart", Cores: []int{1, 1}, Kizod: 1, Generator: 1}, false},
		{rig.Placement{Postgres: first, Kizod: last, Generator: first}, model.Machine{Name: "kizod apart", Cores: []int{1, 1}, Kizod: 1}, false},
		{rig.Placement{Postgres: first, Kizod: first, Generator: first}, model.Machine{Name: "one core", Cores: []int{1}}, false},
		{rig.Placement{Postgres: both, Kizod: both, Generator: both}, model.Machine{Name: "two kizods", Cores: []int{2}, Kizods: 2}, true},
		{rig.Placement{Postgres: first, Kizod: last, Generator: last}, model.Machine{
			Name: "two kizods, PostgreSQL apart", Kizods: 2, Cores: []int{1, 1}, Kizod: 1, Generator: 1,
		}, true},
	}
	for i := range all {
		all[i].Callers, all[i].Accounts = b.connections, len(b.users)
	}
	return all
}

// Callers of the ledger alone, whose batches are of different sizes.
var callersAlone = []int{24, 96, 384}

func aloneName(callers int) string { return fmt.Sprintf("ledger alone, %d callers", callers) }

// cores measures service times and the arrangements, in turns, and compares them with the model.
func cores(ctx context.Context, b *bench) error {
	if err := b.rig.StartSecond(ctx, unlimited...); err != nil {
		return err
	}
	k := &books{name: rig.Database, url: b.rig.AppURL(), owners: make([]ledger.UserID, len(b.users))}
	for i, u := range b.users {
		k.owners[i] = u.ID
	}
	all := b.arrangements()
	for _, a := range all { // warm up: each kizod grows its heap, and PostgreSQL its cache
		if err := b.rig.Place(a.Placement); err != nil {
			return err
		}
		b.expect("transfer", b.load(a).drive(ctx))
	}
	err := k.with(ctx, ledger.Config{Committers: 1, OnBatch: b.onBatch}, func(l *ledger.Ledger) error {
		for range b.rounds {
			if err := b.rig.Place(all[0].Placement); err != nil {
				return err
			}
			for _, callers := range callersAlone {
				alone := load{callers: callers, length: b.duration, make: func(int) caller { return k.caller(ctx, l, anyPair) }}
				if _, err := b.measure(ctx, aloneName(callers), "transfer", alone); err != nil {
					return err
				}
			}
			for _, a := range all {
				if err := b.rig.Place(a.Placement); err != nil {
					return err
				}
				if _, err := b.measure(ctx, a.Name, "transfer", b.load(a)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c := b.report.compareModel(all, b.rounds)
	b.report.addServiceTimes(c)
	b.report.addPredictions(c)
	return nil
}

// load of an arrangement over HTTP.
func (b *bench) load(a arrangement) load {
	addresses := []string{b.address()}
	if a.second {
		addresses = append(addresses, hostPort(b.rig.SecondURL()))
	}
	return load{callers: b.connections, length: b.duration, make: func(n int) caller {
		return payments(addresses[n%len(addresses)], b.users, anyPair)
	}}
}

// batchCosts is what batches of the ledger alone cost in one round. Their different sizes show what
// a batch costs by itself.
func (r *Report) batchCosts(round int) (c model.Costs) {
	var sizes, postgres, process []float64
	for _, callers := range callersAlone {
		p := r.round(aloneName(callers), round)
		batches := float64(max(p.Batches, 1))
		sizes = append(sizes, float64(p.Commands)/batches)
		postgres, process = append(postgres, p.Spent.Postgres.Seconds()/batches), append(process, p.Spent.Generator.Seconds()/batches)
	}
	c.PostgresBatch, c.PostgresCommand = fitLine(sizes, postgres)
	c.KizodBatch, c.KizodCommand = fitLine(sizes, process)
	c.KizodBatch, c.KizodCommand = c.KizodBatch/2, c.KizodCommand/2 // a CPU profile: the committer took 54 %, callers the rest
	c.Flush = r.Environment.Fsync
	return c
}

// serviceTimes are what a transfer over HTTP cost in a phase: its CPU time, divided between batches
// and commands as alone has it. PostgreSQL's time differs between the two, so that it is scaled.
func serviceTimes(p Phase, alone model.Costs) model.Costs {
	each := func(d time.Duration) time.Duration { return d / time.Duration(max(p.Accepted, 1)) }
	perBatch := time.Duration(p.Commands / max(p.Batches, 1))
	c := alone
	c.Generator = each(p.Spent.Generator)
	scale := float64(each(p.Spent.Postgres)) / float64(alone.PostgresCommand+alone.PostgresBatch/perBatch)
	for _, t := range []*time.Duration{&c.PostgresBatch, &c.PostgresCommand, &c.KizodBatch, &c.KizodCommand} {
		*t = time.Duration(float64(*t) * scale)
	}
	c.Request = each(p.Spent.Kizod) - c.KizodCommand - c.KizodBatch/perBatch
	return c
}

// fitLine returns the line y = at0 + slope·x with the least squares of relative errors.
func fitLine(x, y []float64) (at0, slope time.Duration) {
	var w, wx, wy, wxx, wxy float64
	for i := range x {
		weight := 1 / (y[i] * y[i])
		w, wx, wy = w+weight, wx+weight*x[i], wy+weight*y[i]
		wxx, wxy = wxx+weight*x[i]*x[i], wxy+weight*x[i]*y[i]
	}
	m := (w*wxy - wx*wy) / (w*wxx - wx*wx)
	return time.Duration((wy - m*wx) / w * float64(time.Second)), time.Duration(m * float64(time.Second))
}

// round is the phase of this name in a round, which are numbered from 0.
func (r *Report) round(name string, round int) Phase {
	phases := slices.DeleteFunc(slices.Clone(r.Phases), func(p Phase) bool { return p.Name != name })
	return phases[round]
}

// median is the middle value.
func median[T cmp.Ordered](values []T) T { return slices.Sorted(slices.Values(values))[len(values)/2] }

// medianCosts takes the median of each service time.
func medianCosts(rounds []model.Costs) model.Costs {
	middle := func(of func(model.Costs) time.Duration) time.Duration {
		values := make([]time.Duration, len(rounds))
		for i, c := range rounds {
			values[i] = of(c)
		}
		return median(values)
	}
	return model.Costs{
		Generator:       middle(func(c model.Costs) time.Duration { return c.Generator }),
		Request:         middle(func(c model.Costs) time.Duration { return c.Request }),
		KizodBatch:      middle(func(c model.Costs) time.Duration { return c.KizodBatch }),
		KizodCommand:    middle(func(c model.Costs) time.Duration { return c.KizodCommand }),
		PostgresBatch:   middle(func(c model.Costs) time.Duration { return c.PostgresBatch }),
		PostgresCommand: middle(func(c model.Costs) time.Duration { return c.PostgresCommand }),
		Flush:           rounds[0].Flush,
	}
}

// compareModel adds what the model predicts for the arrangements beside what was measured, each
// from the service times of its own phase, because the speed of the machine varies. It returns the
// medians of the service times.
func (r *Report) compareModel(all []arrangement, rounds int) model.Costs {
	table := Table{Header: []string{
		"Two cores, medians", "transfers/s", "model", "difference", "commands per batch", "model", "p50 ms", "model", "CPUs used", "model",
	}}
	var costs []model.Costs
	for _, a := range all {
		var measured, predicted [4][]float64
		var differences []float64
		for round := range rounds {
			p := r.round(a.Name, round)
			c, machine := serviceTimes(p, r.batchCosts(round)), a.beside(p.others())
			m := model.Predict(c, machine)
			costs = append(costs, c)
			differences = append(differences, 100*(m.PerSecond/p.PerSecond()-1))
			for i, pair := range [4][2]float64{
				{p.PerSecond(), m.PerSecond}, {float64(p.Commands) / float64(max(p.Batches, 1)), m.Batch}, {p.Latency.P50, milliseconds(m.P50)}, {p.cpus(), m.CPUs(machine)},
			} {
				measured[i], predicted[i] = append(measured[i], pair[0]), append(predicted[i], pair[1])
			}
		}
		table.add(a.Name, median(measured[0]), "%.0f", median(predicted[0]), "%.0f", median(differences), "%+.0f %%", median(measured[1]), "%.0f", median(predicted[1]), "%.0f",
			median(measured[2]), "%.1f", median(predicted[2]), "%.1f", median(measured[3]), "%.2f", median(predicted[3]), "%.2f")
		r.check("model's error, "+a.Name+", %", math.Abs(median(differences)), "≤", maxModelError)
	}
	r.Tables = append(r.Tables, table)
	return medianCosts(costs)
}

// cpus is how many CPUs the measured programs used.
func (p Phase) cpus() float64 {
	return (p.Spent.Kizod + p.Spent.Postgres + p.Spent.Generator).Seconds() / p.Spent.Elapsed.Seconds()
}

// others is how many CPUs all other programs used, and other guests of the machine.
func (p Phase) others() float64 {
	return p.Spent.Machine.Seconds()/p.Spent.Elapsed.Seconds() - p.cpus()
}

// beside is the machine when other programs use so many of two CPUs: half of each, unless they can
// have one for themselves.
func (a arrangement) beside(others float64) model.Machine {
	m := a.Machine
	if !slices.Equal(m.Cores, []int{1}) {
		m.Others = max(others, 0) / float64(len(m.Cores))
	}
	return m
}

func (r *Report) addServiceTimes(c model.Costs) {
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	t := Table{Header: []string{"Service time, medians", "µs"}}
	t.add("generator, a transfer", us(c.Generator), "%.1f")
	t.add("kizod, a transfer without its batch", us(c.Request), "%.1f")
	t.add("kizod, a batch", us(c.KizodBatch), "%.0f")
	t.add("kizod, a command in a batch", us(c.KizodCommand), "%.1f")
	t.add("PostgreSQL, a batch", us(c.PostgresBatch), "%.0f")
	t.add("PostgreSQL, a command in a batch", us(c.PostgresCommand), "%.1f")
	t.add("one fsync", us(c.Flush), "%.0f")
	r.Tables = append(r.Tables, t)
}

// larger are the machines that are not at hand. A kizod has as many callers as --max-in-flight
// allows, among a million accounts; the generator runs elsewhere.
func larger() (all []model.Machine) {
	for _, size := range []int{8, 32, 128} {
		for _, m := range []model.Machine{
			{Name: "as it is"},
			{Name: "8 committers", Committers: 8},
			{Name: "8 committers, smaller batches", Committers: 8, Share: 16},
			{Name: "4 kizods", Kizods: 4},
		} {
			for _, roundTrip := range []time.Duration{0, time.Millisecond} {
				m.Cores, m.OwnGenerator, m.RoundTrip = []int{size}, true, roundTrip
				m.Accounts, m.Callers = 1_000_000, maxInFlight*max(m.Kizods, 1)
				all = append(all, m)
			}
		}
	}
	return all
}

// maxInFlight is the default of --max-in-flight.
const maxInFlight = 512

func (r *Report) addPredictions(c model.Costs) {
	t := Table{Header: []string{"Predicted: cores", "", "round trip", "transfers/s", "commands per batch", "p50 ms", "p99 ms", "busy %", "limit"}}
	for _, m := range larger() {
		p := model.Predict(c, m)
		t.add(fmt.Sprint(m.Cores[0]), m.Name, "%s", m.RoundTrip, "%s", p.PerSecond, "%.0f", p.Batch, "%.0f", milliseconds(p.P50), "%.1f",
			milliseconds(p.P99), "%.1f", 100*p.Busy[0], "%.0f", p.Limit(), "%s")
	}
	r.Tables = append(r.Tables, t)
}
