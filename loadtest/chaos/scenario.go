package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// scenario is a run with one kind of fault and one promise about it, beside the
// rules that hold in every run.
type scenario struct {
	name   string
	what   string
	adjust func(*options)
	inject func(ctx context.Context, h *system, w *workload) error // in place of the nemesis
	judge  func(*result) []row                                     // a value that names a target and misses it is a violation
}

var scenarios = []scenario{
	{
		name: "hell", what: "The bank at its worst, and nothing else: hangs, 5xx, answers cut off, lies",
		adjust: func(o *options) { o.preset, o.duration, o.bankHeavy = "hell", 45*time.Second, true },
		inject: badBank, judge: judgeHell,
	},
	{
		name: "no-redis", what: "No Redis from start to end",
		adjust: func(o *options) { o.preset, o.duration, o.noRedis = "calm", 30*time.Second, true },
		inject: badBank, judge: judgeNoRedis,
	},
	{
		name: "flushall", what: "FLUSHALL twice a second under load",
		adjust: func(o *options) { o.preset, o.duration, o.bankHeavy = "calm", 30*time.Second, true },
		inject: flushing, judge: judgeFlushAll,
	},
	{
		name: "zombie", what: "A worker is stopped (SIGSTOP) with the bank's answer in its hands, for 60 s, and goes on",
		adjust: func(o *options) { o.preset, o.duration, o.bankHeavy = "calm", time.Minute, true },
		inject: zombie, judge: judgeZombie,
	},
	{
		name: "rolling", what: "Two kizod behind one address, restarted in turn 20 times; clients ask again once where a connection was closed",
		adjust: func(o *options) { o.preset, o.rate, o.duration = "calm", 200, time.Minute },
		inject: rolling, judge: judgeRolling,
	},
}

// runScenarios runs those that are wanted, one after the other.
func runScenarios(ctx context.Context, o options, w io.Writer) error {
	if o.binary == "" {
		dir, err := os.MkdirTemp("", "kizo-scenarios-")
		if err != nil {
			return fmt.Errorf("make a place to build in: %w", err)
		}
		defer os.RemoveAll(dir)
		o.binary = dir + "/kizod"
		if err := rig.Build(ctx, o.binary, "-tags", "failpoints"); err != nil {
			return err
		}
	}
	var broken []string
	for i := range scenarios {
		s := &scenarios[i]
		if !o.wants(s.name) {
			continue
		}
		own := o
		own.scenario, own.summary, own.points = s, "", false
		s.adjust(&own)
		result, err := run(ctx, own)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := result.publishScenario(w); err != nil {
			broken = append(broken, s.name)
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("%w: in %s", errViolated, strings.Join(broken, ", "))
	}
	return nil
}

// publishScenario prints what was promised and what came of it.
func (r *result) publishScenario(w io.Writer) error {
	s := r.options.scenario
	fmt.Fprintf(w, "### %s\n\n%s, for %s (seed %d).\n\n| What | Figure | Target |\n|---|---|---|\n", s.name, s.what, r.options.duration, r.options.seed)
	own := s.judge(r)
	for _, x := range append(own, r.commonRows()...) {
		fmt.Fprintf(w, "| %s | %s | %s |\n", x.what, x.value, x.target)
		if strings.Contains(x.target, "**missed**") {
			r.found.add("promise", "%s: %s, want %s", x.what, x.value, x.target)
		}
	}
	violations, counts := r.found.all()
	if len(violations) == 0 {
		_, err := fmt.Fprint(w, "\nNo rule was broken.\n\n")
		return err
	}
	for _, v := range violations {
		fmt.Fprintf(w, "\n#### %s (%d times)\n\n%s\n\n", v.rule, counts[v.rule], v.evidence)
	}
	return errViolated
}

// commonRows are the figures of every scenario.
func (r *result) commonRows() []row {
	return []row{
		{"operations (requests), requests/s", fmt.Sprintf("%d (%d), %.0f", r.operations, r.attempts, r.rate), ""},
		{"outcomes unknown for good", fmt.Sprint(r.outcomes[unknown]), target(r.outcomes[unknown] == 0, "0")},
		{"payments executed / rejected / in review", fmt.Sprintf("%d / %d / %d", r.payments["executed"], r.payments["rejected"], r.payments["needs_review"]), ""},
		{"executions in the bank's journal, each posted once or in review", fmt.Sprint(r.executed), ""},
		{"heal until nothing is open", r.terminalAfter.Round(time.Millisecond).String(), target(r.terminalAfter <= stuckAfter, "≤ 10 s")},
	}
}

// target is the third column of a summary.
func target(met bool, what string) string {
	if met {
		return what + ": met"
	}
	return what + ": **missed**"
}

// badBank lets the preset's faults do their work.
func badBank(ctx context.Context, h *system, _ *workload) error {
	if err := h.bank.restart(h.options.preset); err != nil {
		return err
	}
	rig.Pause(ctx, h.options.duration)
	return nil
}

func judgeHell(r *result) []row {
	return []row{
		{"lies of the bank, recorded", fmt.Sprintf("%d, %d", r.lies, r.liesFound), target(r.lies > 0 && r.lies == r.liesFound, "all")},
	}
}

func judgeNoRedis(r *result) []row {
	failures := 0
	for _, o := range r.history.operations() {
		if o.kind != deposit && o.kind != withdrawal && !o.conclusion().definite() {
			failures++
		}
	}
	waited := settledAfter(r.log)
	return []row{
		{"transfers between wallets that failed", fmt.Sprint(failures), target(failures == 0, "0")},
		{"deposit or withdrawal to settled, p50 / p99 / max", quantiles(waited), target(len(waited) > 0, "settled by the janitor")},
	}
}

func flushing(ctx context.Context, h *system, _ *workload) error {
	if err := h.bank.restart(h.options.preset); err != nil {
		return err
	}
	for began := time.Now(); time.Since(began) < h.options.duration && ctx.Err() == nil; rig.Pause(ctx, 500*time.Millisecond) {
		if err := h.flushRedis(ctx); err != nil {
			return err
		}
		h.faultLog.count("Redis FLUSHALL")
	}
	return nil
}

func judgeFlushAll(r *result) []row {
	waited := settledAfter(r.log)
	_, counts := r.system.faultLog.done()
	return []row{
		{"FLUSHALLs", fmt.Sprint(counts["Redis FLUSHALL"]), target(counts["Redis FLUSHALL"] > 10, "> 10")},
		{"deposit or withdrawal to settled, p50 / p99 / max", quantiles(waited), target(quantile(waited, 1) <= stuckAfter, "max ≤ 10 s")},
	}
}

// zombieFor is how long the zombie is stopped: twenty leases.
const zombieFor = time.Minute

// zombie lets a worker stop itself between the bank's answer and the ledger. What
// it had in its hands is settled by others, long before it goes on.
func zombie(ctx context.Context, h *system, _ *workload) error {
	if err := h.bank.restart(h.options.preset); err != nil {
		return err
	}
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
	for !victim.stopped() {
		if rig.Pause(within, 20*time.Millisecond); within.Err() != nil {
			return errors.New("the worker never came to the point at which it stops")
		}
	}
	h.note("%s is stopped", victim.name)
	rig.Pause(ctx, zombieFor)
	victim.signal(syscall.SIGCONT)
	within, cancel = context.WithTimeout(ctx, stuckAfter)
	defer cancel()
	for h.lateFinalisations() == 0 && within.Err() == nil { // what it does now is judged afterwards
		rig.Pause(within, 100*time.Millisecond)
	}
	return ctx.Err()
}

// lateFinalisations counts what workers say that the fence refused.
func (h *system) lateFinalisations() (refused int) {
	const refusal = "payment was taken over while the bank answered"
	for _, d := range h.daemons {
		if d.role == "worker" {
			refused += strings.Count(contents(h.path(d.name+".log")), refusal)
		}
	}
	return refused
}

func judgeZombie(r *result) []row {
	refused := r.lateFinalisations
	return []row{{"late finalisations that the fence refused", fmt.Sprint(refused), target(refused > 0, "> 0")}}
}

func contents(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func quantiles(sorted []time.Duration) string {
	ms := func(q float64) string { return quantile(sorted, q).Round(time.Millisecond).String() }
	return ms(.5) + " / " + ms(.99) + " / " + ms(1)
}
