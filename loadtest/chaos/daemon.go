package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// daemon is one kizod with one role that is started again whenever it ends.
type daemon struct {
	system *system
	name   string
	role   string

	mu         sync.Mutex
	current    *rig.Process
	generation int
	url        string // of its API; "" while it is not ready
	ready      bool
	faults     string // KIZO_FAILPOINTS of generations to come
}

// who is what a generation is called in the payments' log.
func who(name string, generation int) string { return fmt.Sprintf("%s.%d", name, generation) }

// roles are what it is started with: a kizod that serves the API signs users in as well.
func (d *daemon) roles() string {
	if d.role == "api" {
		return "api,auth"
	}
	return d.role
}

// run keeps the daemon alive until ctx ends.
func (d *daemon) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := d.live(ctx); err != nil && ctx.Err() == nil {
			d.system.note("%s: %v", d.name, err)
			rig.Pause(ctx, 250*time.Millisecond) // a kizod that finds no database costs time, too
		}
	}
}

// live is the life of one generation. An error is one to wait after.
func (d *daemon) live(ctx context.Context) error {
	d.mu.Lock()
	d.generation++
	d.ready, d.url = false, ""
	generation, faults := d.generation, d.faults
	d.mu.Unlock()
	readyFile, output := d.system.path(d.name+".ready"), d.system.path(d.name+".log")
	p, err := rig.Spawn(d.system.binary, []string{
		"serve", "--roles", d.roles(), "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--log-format", "json",
		"--bank-url", d.system.bank.url, "--secrets-file", d.system.path("secrets.json"), "--ready-file", readyFile,
		"--rate-limit", "0", "--rate-limit-address", "0", // a handful of users ask for all of the load
	}, d.environment(generation, faults), output)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.current = p
	d.mu.Unlock()
	defer d.buried(p, generation)
	served := d.becomeReady(ctx, p, readyFile)
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.End(endWithin)
		return nil
	}
	switch {
	case p.WasAsked() || p.SelfKilled():
		return nil
	case !served: // it may well find no database
		return fmt.Errorf("did not get ready: %w", p.Err())
	default:
		d.system.found.add("process", "%s ended without a signal of the run: %v\n%s", who(d.name, generation), p.Err(), rig.Tail(output))
		return errors.New("ended by itself")
	}
}

func (d *daemon) environment(generation int, faults string) []string {
	database := url.URL{
		Scheme: "postgres", User: url.User("kizo_app"), Host: fmt.Sprintf("127.0.0.1:%d", d.system.proxy.port()), Path: "/" + database,
		// Who claims and who settles a payment is written down by its trigger.
		RawQuery: "sslmode=disable&options=" + strings.ReplaceAll(url.QueryEscape("-c kizo_chaos.who="+who(d.name, generation)), "+", "%20"),
	}
	return rig.ChildEnvironment(
		"KIZO_DATABASE_URL="+database.String(),
		"KIZO_REDIS_URL=redis-socket://"+d.system.redisAddr,
		"KIZO_BANK_TOKEN="+bankToken,
		"KIZO_BANK_CALLBACK_SECRET="+callbackSecret,
		"KIZO_REVIEW_AFTER_ATTEMPTS=3", // of those about which the bank contradicts us for good
		"KIZO_FAILPOINTS_HIT="+d.system.hits,
		"KIZO_FAILPOINTS="+faults,
		fmt.Sprintf("KIZO_FAILPOINTS_SEED=%d", d.system.options.seed+uint64(generation)),
	)
}

// becomeReady waits for the ready file of this very process.
func (d *daemon) becomeReady(ctx context.Context, p *rig.Process, path string) bool {
	for ctx.Err() == nil && p.Alive() {
		if ready, ok := p.ReadReady(path); ok {
			d.mu.Lock()
			d.url, d.ready = ready.URL, true
			d.mu.Unlock()
			return true
		}
		rig.Pause(ctx, 10*time.Millisecond)
	}
	return false
}

// buried notes how a generation ended.
func (d *daemon) buried(p *rig.Process, generation int) {
	d.mu.Lock()
	d.ready, d.url = false, ""
	d.mu.Unlock()
	at := p.KilledAt()
	violent := p.SelfKilled() || !at.IsZero()
	if at.IsZero() {
		at = time.Now()
	}
	d.system.faultLog.death(who(d.name, generation), at, violent)
	if p.SelfKilled() {
		d.system.faultLog.count("kizod died at a named point")
	}
}

func (d *daemon) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		d.mu.Lock()
		ready := d.ready
		d.mu.Unlock()
		if ready {
			return nil
		}
		if rig.Pause(ctx, 20*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("%s does not get ready: %w\n%s", d.name, ctx.Err(), rig.Tail(d.system.path(d.name+".log")))
		}
	}
}

// alive is the current generation's process.
func (d *daemon) alive() *rig.Process {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current
}

// stopped tells whether the current generation stands still.
func (d *daemon) stopped() bool {
	p := d.alive()
	if p == nil {
		return false
	}
	stat := contents(fmt.Sprintf("/proc/%d/stat", p.PID()))
	_, state, ok := strings.Cut(stat, ") ") // after the name, which may hold anything
	return ok && strings.HasPrefix(state, "T")
}

// signal reaches the current generation; it tells whether there was one.
func (d *daemon) signal(s syscall.Signal) bool {
	d.mu.Lock()
	p := d.current
	d.mu.Unlock()
	return p != nil && p.Signal(s)
}

// retire ends the current generation in good order, if it can be.
func (d *daemon) retire(ctx context.Context) {
	d.mu.Lock()
	p := d.current
	d.mu.Unlock()
	if p != nil && p.Signal(syscall.SIGTERM) {
		select {
		case <-p.Done():
		case <-time.After(endWithin):
			p.Signal(syscall.SIGKILL)
		case <-ctx.Done():
		}
	}
}

// setFaults says at which points the next generations die.
func (d *daemon) setFaults(rules ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = strings.Join(rules, ";")
}

func (d *daemon) apiURL() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.url
}
