package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

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
	acting  sync.WaitGroup
}

// fault is one fault, and its time after the start of the run.
type fault struct {
	at   time.Duration
	name string
	do   func(context.Context) error
}

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
	s := n.options.stress
	var faults []fault
	add := func(count int, make func() fault) {
		share := float64(count) * n.options.duration.Seconds() / 300
		times := int(share)
		if n.dice.Float64() < share-float64(times) || (times == 0 && count > 0) {
			times++
		}
		for range times {
			f := make()
			f.at = n.moment()
			faults = append(faults, f)
		}
	}
	add(s.kills, func() fault { return n.kill(n.anyDaemon("")) })
	add(s.stops, n.freeze)
	add(s.terms, func() fault { return n.terminate(n.anyDaemon("")) })
	add(s.dying, n.dieAtPoint)
	add(s.postgres, n.crashPostgres)
	add(s.redisKills, n.killRedis)
	add(s.flushes, func() fault { return fault{name: "Redis FLUSHALL", do: n.system.flushRedis} })
	add(s.bankKills, func() fault {
		return fault{name: "bank kill -9", do: func(context.Context) error { return n.system.bank.restart("") }}
	})
	add(s.cuts, n.cutAll)
	add(s.commits, n.cutCommits)
	add(s.stall, n.stall)
	slices.SortStableFunc(faults, func(a, b fault) int { return int(a.at - b.at) })
	return faults
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
func (n *nemesis) run(ctx context.Context) error {
	if err := n.system.bank.restart(n.options.preset); err != nil {
		return err
	}
	began := time.Now()
	failed := make(chan error, 1)
	for _, f := range n.plan() {
		if rig.Pause(ctx, time.Until(began.Add(f.at))); ctx.Err() != nil {
			break
		}
		n.acting.Go(func() {
			n.system.note("nemesis: %s", f.name)
			if err := f.do(ctx); err != nil && ctx.Err() == nil {
				select {
				case failed <- fmt.Errorf("%s: %w", f.name, err):
				default:
				}
				return
			}
			n.system.faultLog.count(f.name)
		})
	}
	rig.Pause(ctx, time.Until(began.Add(n.options.duration)))
	n.acting.Wait()
	n.noteCalm(began)
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// noteCalm records the calm phases, without the first seconds, in which Kizo recovers.
func (n *nemesis) noteCalm(began time.Time) {
	const recovery = 2 * time.Second
	for at := waveFor; at+calmFor <= n.options.duration; at += waveFor + calmFor {
		n.system.faultLog.calmPhase(began.Add(at+recovery), began.Add(at+calmFor))
	}
}

func (n *nemesis) anyDaemon(role string) *daemon {
	for {
		d := n.system.daemons[n.dice.IntN(len(n.system.daemons))]
		if role == "" || d.role == role {
			return d
		}
	}
}

func (n *nemesis) kill(d *daemon) fault {
	return fault{name: "kizod kill -9", do: func(ctx context.Context) error {
		// The signal fails until the next generation has started.
		return rig.Poll(ctx, 5*time.Millisecond, func() (bool, error) { return d.signal(syscall.SIGKILL), nil })
	}}
}

func (n *nemesis) terminate(d *daemon) fault {
	return fault{name: "kizod SIGTERM", do: func(context.Context) error {
		d.signal(syscall.SIGTERM)
		return nil
	}}
}

// freeze stops a kizod for a while with SIGSTOP.
func (n *nemesis) freeze() fault {
	// Usually for longer than a lease and the janitor's interval, so that another worker claims the
	// payment meanwhile.
	role := "worker"
	if n.dice.IntN(3) == 0 {
		role = ""
	}
	d, length := n.anyDaemon(role), n.within(2*time.Second, 7*time.Second)
	return fault{name: "kizod SIGSTOP", do: func(ctx context.Context) error {
		if p := d.process(); p != nil && p.Signal(syscall.SIGSTOP) {
			rig.Pause(ctx, length)
			p.Signal(syscall.SIGCONT)
		}
		return nil
	}}
}

// dieAtPoint makes the next generations of a kizod die, fail or stall at a failpoint, with a small
// probability each time, and starts one. Four seconds later it starts one without the failpoint.
func (n *nemesis) dieAtPoint() fault {
	d, point := n.anyDaemon(""), points[n.dice.IntN(len(points))]
	action := []string{"kill", "kill", "fail", "stall:1500ms"}[n.dice.IntN(4)]
	return fault{name: "kizod with a failpoint that kills it", do: func(ctx context.Context) error {
		if !n.options.points {
			return nil
		}
		d.setFaults(point + "=" + action + "@0.05")
		d.signal(syscall.SIGKILL)
		rig.Pause(ctx, 4*time.Second)
		d.setFaults()
		d.signal(syscall.SIGKILL)
		n.system.faultLog.count("kizod kill -9")
		return nil
	}}
}

func (n *nemesis) crashPostgres() fault {
	away := n.within(0, 1500*time.Millisecond)
	return fault{name: "PostgreSQL crash", do: func(ctx context.Context) error { return n.system.crashPostgres(ctx, away) }}
}

func (n *nemesis) killRedis() fault {
	away := n.within(0, 4*time.Second)
	return fault{name: "Redis kill", do: func(ctx context.Context) error { return n.system.killRedis(ctx, away) }}
}

func (n *nemesis) cutAll() fault {
	return fault{name: "connections cut", do: func(context.Context) error {
		n.system.proxy.cutAll()
		return nil
	}}
}

func (n *nemesis) cutCommits() fault {
	length := n.within(500*time.Millisecond, 2*time.Second)
	return fault{name: "COMMITs cut for a while", do: func(context.Context) error {
		n.system.proxy.arm(0.2, time.Now().Add(length))
		return nil
	}}
}

func (n *nemesis) stall() fault {
	length := n.within(200*time.Millisecond, 2500*time.Millisecond)
	return fault{name: "network stall", do: func(ctx context.Context) error {
		began := time.Now()
		resume := n.system.proxy.stall()
		rig.Pause(ctx, length)
		resume()
		n.system.faultLog.outage(began, time.Now())
		return nil
	}}
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
			retiring.Go(func() {
				if p := d.process(); p != nil {
					p.End(endWithin)
				}
			})
		}
		retiring.Wait()
	}
	if err := h.bank.restart("calm"); err != nil {
		return err
	}
	return h.waitReady(ctx)
}
