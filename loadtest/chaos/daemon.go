package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// daemon is a kizod with one role. It is started again whenever it ends; each start is a
// generation.
type daemon struct {
	system *system
	name   string
	role   string

	mu         sync.Mutex
	current    *rig.Process
	generation int
	ready      *rig.Ready // nil until it is ready
	faults     string     // KIZO_FAILPOINTS of later generations
}

// who returns the name of a generation in the payments' log.
func who(name string, generation int) string { return fmt.Sprintf("%s.%d", name, generation) }

// run keeps the daemon alive until ctx ends.
func (d *daemon) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := d.live(ctx); err != nil && ctx.Err() == nil {
			d.system.note("%s: %v", d.name, err)
			rig.Pause(ctx, 250*time.Millisecond) // each start without a database costs CPU time
		}
	}
}

// live starts one generation and waits until it ends. After an error the caller pauses before
// the next one.
func (d *daemon) live(ctx context.Context) error {
	d.mu.Lock()
	d.generation++
	generation := d.generation
	k := rig.Kizod{
		Binary: d.system.binary, Dir: d.system.dir, Name: d.name, DatabaseURL: d.databaseURL(generation),
		Redis: d.system.redisAddr, BankURL: d.system.bank.url(),
	}
	p, err := k.Start([]string{
		"--roles", strings.Replace(d.role, "api", "api,auth", 1), "--rate-limit", "0", "--rate-limit-address", "0", // a few users make all of the load
	}, []string{
		"KIZO_REVIEW_AFTER_ATTEMPTS=3", // for payments about which the bank keeps contradicting itself
		"KIZO_FAILPOINTS_HIT=" + d.system.hits,
		"KIZO_FAILPOINTS=" + d.faults,
		fmt.Sprintf("KIZO_FAILPOINTS_SEED=%d", d.system.options.seed+uint64(generation)),
	})
	d.current = p
	d.mu.Unlock()
	if err != nil {
		return err
	}
	defer d.recordEnd(p, generation)
	ready, failure := p.WaitReady(ctx, k.ReadyFile())
	if failure == nil {
		d.setReady(&ready)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.End(endWithin)
		return nil
	}
	switch {
	case p.WasAsked() || p.SelfKilled():
		return nil
	case failure != nil: // there may be no database
		return fmt.Errorf("did not become ready: %w", p.Err())
	default:
		d.system.found.add("process", "%s ended without a signal of the run: %v\n%s", who(d.name, generation), p.Err(), rig.Tail(k.Log()))
		return errors.New("ended by itself")
	}
}

// databaseURL connects through the proxy. It names the generation, so that the trigger on
// payments records who claims and who settles them.
func (d *daemon) databaseURL(generation int) string {
	if c := d.system.cluster; c != nil {
		return fmt.Sprintf("%s&options=-c%%20kizo_chaos.who%%3D%s", c.setting("kizod.toml", "database_url"), who(d.name, generation))
	}
	return fmt.Sprintf("postgres://kizo_app@127.0.0.1:%d/%s?sslmode=disable&options=-c%%20kizo_chaos.who%%3D%s",
		d.system.proxy.port(), rig.Database, who(d.name, generation))
}

func (d *daemon) setReady(ready *rig.Ready) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ready = ready
}

// recordEnd records how a generation ended.
func (d *daemon) recordEnd(p *rig.Process, generation int) {
	d.setReady(nil)
	switch at := p.KilledAt(); {
	case p.SelfKilled():
		d.system.faultLog.death(who(d.name, generation), time.Now())
		d.system.faultLog.count("kizod died at a failpoint")
	case !at.IsZero():
		d.system.faultLog.death(who(d.name, generation), at)
	}
}

func (d *daemon) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	err := rig.Poll(ctx, 20*time.Millisecond, func() (bool, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.ready != nil, nil
	})
	if err != nil {
		return fmt.Errorf("%s does not become ready: %w\n%s", d.name, err, rig.Tail(d.system.path(d.name+".log")))
	}
	return nil
}

// process returns the process of the current generation, or nil before the first one.
func (d *daemon) process() *rig.Process {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current
}

// stopped reports whether SIGSTOP has stopped the current generation.
func (d *daemon) stopped() bool {
	stat := contents(fmt.Sprintf("/proc/%d/stat", d.process().PID()))
	_, state, ok := strings.Cut(stat, ") ") // after the name, which may contain anything
	return ok && strings.HasPrefix(state, "T")
}

// signal sends a signal to the current generation and reports whether it was running.
func (d *daemon) signal(s syscall.Signal) bool { return d.process().Signal(s) }

// setFaults sets the failpoints at which the next generations die.
func (d *daemon) setFaults(rules ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = strings.Join(rules, ";")
}

// apiURL returns the URL of its API, or "" until it is ready.
func (d *daemon) apiURL() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ready == nil {
		return ""
	}
	return d.ready.URL
}
