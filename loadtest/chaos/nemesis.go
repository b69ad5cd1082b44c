package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// stress is how often each fault is injected in five minutes. Shorter and longer runs have
// proportionally fewer and more faults.
type stress struct {
	kills, stops, terms  int // of kizod
	postgres             int // crashes
	redisKills, flushes  int
	bankKills            int
	cuts, commits, stall int // of the proxy
	dying                int // generations that die at a failpoint
}

// everything is the stress of the run whose figures are documented.
var everything = stress{
	kills: 112, stops: 14, terms: 10, postgres: 18, redisKills: 10, flushes: 10,
	bankKills: 12, cuts: 14, commits: 16, stall: 6, dying: 40,
}

// nemesis injects faults on a schedule that the seed determines.
//
//	|── wave: faults, each at its time ──|── calm ──|── wave ──| …
type nemesis struct {
	system  *system
	options options
	dice    *rand.Rand
}

// fault is one fault, and its time after the start of the run.
type fault struct {
	at   time.Duration
	name string
	do   action
}

// action makes a fault, and returns when the fault has ended.
type action func(context.Context) error

const (
	waveFor = 24 * time.Second
	calmFor = 6 * time.Second
)

func newNemesis(h *system) *nemesis {
	return &nemesis{
		system: h, options: h.options,
		dice: rand.New(rand.NewPCG(h.options.seed, 0x4e)), //nolint:gosec // a seed repeats it
	}
}

// plan distributes the faults over the run. It makes all random choices in advance, so that
// events during the run do not change the schedule.
func (n *nemesis) plan() []fault {
	s, h := n.options.stress, n.system
	var faults []fault
	add := func(count int, name string, make func() action) {
		share := float64(count) * n.options.duration.Seconds() / 300
		times := int(share)
		if n.dice.Float64() < share-float64(times) || (times == 0 && count > 0) {
			times++
		}
		for range times {
			do := make()
			faults = append(faults, fault{n.moment(), name, do})
		}
	}
	add(s.kills, "kizod kill -9", n.kill)
	add(s.stops, "kizod SIGSTOP", n.freeze)
	add(s.terms, "kizod SIGTERM", func() action {
		d := n.anyDaemon("")
		return done(func() { d.signal(syscall.SIGTERM) })
	})
	add(s.dying, "kizod with a failpoint that kills it", n.dieAtPoint)
	add(s.postgres, "PostgreSQL crash", func() action {
		away := n.within(0, 1500*time.Millisecond)
		return func(ctx context.Context) error { return h.crashPostgres(ctx, away) }
	})
	add(s.redisKills, "Redis kill", func() action {
		away := n.within(0, 4*time.Second)
		return func(ctx context.Context) error { return h.killRedis(ctx, away) }
	})
	add(s.flushes, "Redis FLUSHALL", func() action { return h.flushRedis })
	add(s.bankKills, "bank kill -9", func() action {
		return func(context.Context) error { return h.bank.restart("") }
	})
	add(s.cuts, "connections cut", func() action { return done(h.proxy.cutAll) })
	add(s.commits, "COMMITs cut for a while", func() action {
		length := n.within(500*time.Millisecond, 2*time.Second)
		return done(func() { h.proxy.arm(0.2, time.Now().Add(length)) })
	})
	add(s.stall, "network stall", n.stall)
	slices.SortStableFunc(faults, func(a, b fault) int { return int(a.at - b.at) })
	return faults
}

// done is an action that cannot fail.
func done(do func()) action {
	return func(context.Context) error {
		do()
		return nil
	}
}

// moment returns a random time within a wave.
func (n *nemesis) moment() time.Duration {
	if n.options.duration < waveFor+calmFor {
		return n.within(0, n.options.duration)
	}
	for {
		if at := n.within(0, n.options.duration); at%(waveFor+calmFor) < waveFor {
			return at
		}
	}
}

func (n *nemesis) within(from, to time.Duration) time.Duration {
	return from + time.Duration(n.dice.Int64N(int64(to-from)+1))
}

// run carries out the plan. It returns when the time is over and every fault has ended.
func (n *nemesis) run(ctx context.Context, h *system) error {
	began := time.Now()
	var acting errgroup.Group
	for _, f := range n.plan() {
		if rig.Pause(ctx, time.Until(began.Add(f.at))); ctx.Err() != nil {
			break
		}
		acting.Go(func() error {
			h.note("nemesis: %s", f.name)
			if err := f.do(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			h.faultLog.count(f.name)
			return nil
		})
	}
	rig.Pause(ctx, time.Until(began.Add(n.options.duration)))
	return acting.Wait()
}

// anyDaemon returns a random kizod of a role, or of any role if role is "". The system has one of
// each role.
func (n *nemesis) anyDaemon(role string) *daemon {
	var candidates []*daemon
	for _, d := range n.system.daemons {
		if role == "" || d.role == role {
			candidates = append(candidates, d)
		}
	}
	return candidates[n.dice.IntN(len(candidates))]
}

func (n *nemesis) kill() action {
	d := n.anyDaemon("")
	return func(ctx context.Context) error {
		// The signal fails until the next generation has started.
		return rig.Poll(ctx, 5*time.Millisecond, func() (bool, error) { return d.signal(syscall.SIGKILL), nil })
	}
}

// freeze stops a kizod for a while with SIGSTOP.
func (n *nemesis) freeze() action {
	// Usually for longer than a lease and the janitor's interval, so that another worker claims the
	// payment meanwhile.
	role := "worker"
	if n.dice.IntN(3) == 0 {
		role = ""
	}
	d, length := n.anyDaemon(role), n.within(2*time.Second, 7*time.Second)
	return func(ctx context.Context) error {
		if p := d.process(); p.Signal(syscall.SIGSTOP) {
			rig.Pause(ctx, length)
			p.Signal(syscall.SIGCONT)
		}
		return nil
	}
}

// dieAtPoint makes the next generations of a kizod die, fail or stall at a failpoint, with a small
// probability each time, and starts one. Four seconds later it starts one without the failpoint.
func (n *nemesis) dieAtPoint() action {
	point := points[n.dice.IntN(len(points))]
	d := n.anyDaemon(roleAt(point))
	what := []string{"kill", "kill", "fail", "stall:1500ms"}[n.dice.IntN(4)]
	return func(ctx context.Context) error {
		if !n.options.points {
			return nil
		}
		d.setFaults(point + "=" + what + "@0.05")
		d.signal(syscall.SIGKILL)
		rig.Pause(ctx, 4*time.Second)
		d.setFaults()
		d.signal(syscall.SIGKILL)
		n.system.faultLog.count("kizod kill -9")
		return nil
	}
}

// roleAt returns the role whose kizod passes a failpoint, or "" if all do.
func roleAt(point string) string {
	switch part, _, _ := strings.Cut(point, "."); part {
	case "api", "auth":
		return "api"
	case "settle":
		return "worker"
	case "janitor":
		return "janitor"
	default:
		return ""
	}
}

func (n *nemesis) stall() action {
	length := n.within(200*time.Millisecond, 2500*time.Millisecond)
	return func(ctx context.Context) error {
		began := time.Now()
		resume := n.system.proxy.stall()
		rig.Pause(ctx, length)
		resume()
		n.system.faultLog.outage(began, time.Now())
		return nil
	}
}

// heal ends all faults and waits until everything is ready.
func (h *system) heal(ctx context.Context) error {
	h.proxy.arm(0, time.Time{})
	for _, d := range h.daemons {
		d.setFaults()
		d.signal(syscall.SIGCONT)
	}
	if h.options.points { // end the generations with a failpoint, gracefully this time
		var retiring sync.WaitGroup
		for _, d := range h.daemons {
			retiring.Go(func() { d.process().End(endWithin) })
		}
		retiring.Wait()
	}
	if err := h.bank.restart("calm"); err != nil {
		return err
	}
	return h.waitReady(ctx)
}
