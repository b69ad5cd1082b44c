package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// scenario is a run with one kind of fault. It checks one promise in addition to the rules of
// every run.
type scenario struct {
	name   string
	what   string
	adjust func(*options)
	inject func(ctx context.Context, h *system) error // instead of the nemesis
	rows   func(*result) []row                        // figures; one that misses its target is a violation
}

var scenarios = []scenario{
	{
		name: "hell", what: "The bank hangs, answers 5xx, cuts answers off and gives wrong answers; nothing else fails",
		adjust: func(o *options) { o.preset, o.duration, o.bankHeavy = "hell", 45*time.Second, true },
		inject: badBank, rows: hellRows,
	},
	{
		name: "no-redis", what: "Redis is down during the whole run",
		adjust: func(o *options) { o.preset, o.duration, o.noRedis = "calm", 30*time.Second, true },
		inject: badBank, rows: noRedisRows,
	},
	{
		name: "flushall", what: "FLUSHALL twice a second under load",
		adjust: func(o *options) { o.preset, o.duration, o.bankHeavy = "calm", 30*time.Second, true },
		inject: flushing, rows: flushAllRows,
	},
	{
		name: "zombie", what: "A worker that has the bank's answer is stopped (SIGSTOP) for 60 s and then continued",
		adjust: func(o *options) { o.preset, o.duration, o.bankHeavy = "calm", time.Minute, true },
		inject: zombie, rows: zombieRows,
	},
	{
		name: "rolling", what: "Two kizod behind one address, restarted in turn 20 times; clients send a request again, once, if its connection was closed",
		adjust: func(o *options) { o.preset, o.rate, o.duration = "calm", 200, time.Minute },
		inject: rolling, rows: rollingRows,
	},
}

// runScenarios runs the selected scenarios, one after the other.
func runScenarios(ctx context.Context, o options, list []scenario, w io.Writer) error {
	dir, err := os.MkdirTemp("", "kizo-scenarios-")
	if err != nil {
		return fmt.Errorf("make a directory to build in: %w", err)
	}
	defer os.RemoveAll(dir)
	if o.binary, err = rig.FindBinary(ctx, "", dir, "-tags", "failpoints"); err != nil {
		return err
	}
	var broken []string
	for i := range list {
		s := &list[i]
		if !o.wants(s.name) {
			continue
		}
		own := o
		own.scenario, own.points, own.preset = s, false, "calm"
		s.adjust(&own)
		result, err := run(ctx, own)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := result.publish(w); err != nil {
			broken = append(broken, s.name)
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("%w: in %s", errViolated, strings.Join(broken, ", "))
	}
	return nil
}

// commonRows returns the figures of every scenario.
func (r *result) commonRows() []row {
	return []row{
		figure("operations (requests), requests/s", "%d (%d), %.0f", len(r.operations), r.attempts, r.rate),
		figure("outcomes unknown forever", "%d", r.outcomes[unknown]).goal(r.outcomes[unknown] == 0, "0"),
		r.paymentsRow(),
		figure("executions in the bank's journal, each posted once or in review", "%d", r.executed),
		r.healRow(),
	}
}

// badBank runs the bank with the faults of the scenario's preset.
func badBank(ctx context.Context, h *system) error {
	rig.Pause(ctx, h.options.duration)
	return nil
}

func hellRows(r *result) []row {
	lies, found := r.liesFound()
	return []row{figure("wrong answers of the bank, recorded", "%d, %d", lies, found).goal(lies > 0 && lies == found, "all")}
}

func noRedisRows(r *result) []row {
	failures := 0
	for _, o := range r.operations {
		if o.kind != deposit && o.kind != withdrawal && !o.conclusion().definite() {
			failures++
		}
	}
	waited := settledAfter(r.books.log)
	return []row{
		figure("transfers between wallets that failed", "%d", failures).goal(failures == 0, "0"),
		figure("deposit or withdrawal to settled, p50 / p99 / max", "%s", quantiles(waited)).goal(len(waited) > 0, "settled by the janitor"),
	}
}

func flushing(ctx context.Context, h *system) error {
	for began := time.Now(); time.Since(began) < h.options.duration && ctx.Err() == nil; rig.Pause(ctx, 500*time.Millisecond) {
		if err := h.flushRedis(ctx); err != nil {
			return err
		}
		h.faultLog.count("Redis FLUSHALL")
	}
	return nil
}

func flushAllRows(r *result) []row {
	waited := settledAfter(r.books.log)
	_, counts := r.system.faultLog.done()
	return []row{
		figure("FLUSHALLs", "%d", counts["Redis FLUSHALL"]).goal(counts["Redis FLUSHALL"] > 10, "> 10"),
		figure("deposit or withdrawal to settled, p50 / p99 / max", "%s", quantiles(waited)).goal(rig.Quantile(waited, 1) <= stuckAfter, "max ≤ 10 s"),
	}
}

// zombieFor is how long the worker is stopped: twenty leases.
const zombieFor = time.Minute

// zombie stops a worker between the bank's answer and the settlement. Other workers settle its
// payments long before it continues.
func zombie(ctx context.Context, h *system) error {
	var victim *daemon
	for _, d := range h.daemons {
		if d.role == "worker" {
			victim = d
		}
	}
	victim.setFaults("settle.before_finish=stop@0.2")
	victim.signal(syscall.SIGKILL)
	within, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if err := rig.Poll(within, 20*time.Millisecond, func() (bool, error) { return victim.stopped(), nil }); err != nil {
		return fmt.Errorf("wait until the worker stops at the failpoint: %w", err)
	}
	h.note("%s is stopped", victim.name)
	rig.Pause(ctx, zombieFor)
	victim.signal(syscall.SIGCONT)
	within, cancel = context.WithTimeout(ctx, stuckAfter)
	defer cancel()
	_ = rig.Poll(within, 100*time.Millisecond, func() (bool, error) { return h.lateSettlements() > 0, nil }) // the audit checks the result
	return ctx.Err()
}

// lateSettlements counts the settlements that were rejected by the fencing token, in the logs of
// the workers.
func (h *system) lateSettlements() (refused int) {
	const refusal = "payment was taken over while the bank answered"
	for _, d := range h.daemons {
		if d.role == "worker" {
			refused += strings.Count(contents(h.path(d.name+".log")), refusal)
		}
	}
	return refused
}

func zombieRows(r *result) []row {
	return []row{figure("late settlements that the fencing token rejected", "%d", r.lateSettlements).goal(r.lateSettlements > 0, "> 0")}
}

func contents(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
