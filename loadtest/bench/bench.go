package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/ledger"
)

// funds of each user, in minor units: a sender that all payments come from must not run out.
const funds = 1_000_000_000

// bench is one run of a scenario.
type bench struct {
	options
	scenario *scenario
	out      io.Writer
	rig      *rig.Rig
	users    []rig.User // of a rig with kizod
	books    *books     // of a rig that is a database only
	before   rig.Books
	report   Report
	expected map[string]Money // what was accepted, by kind of transfer

	batches, commands, committing atomic.Int64 // of the ledger in this process; the last in ns
}

func openBench(ctx context.Context, s *scenario, o options, out io.Writer) (_ *bench, err error) {
	uuid.EnableRandPool() // the keys need to be different, not secret
	o = s.complete(o)
	config := o.config
	config.Log, config.DatabaseOnly = out, s.databaseOnly
	config.KizodArgs = append(append([]string(nil), s.kizodArgs...), o.config.KizodArgs...)
	b := &bench{options: o, scenario: s, out: out, expected: make(map[string]Money)}
	if b.rig, err = rig.Start(ctx, config); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.rig.Close())
		}
	}()
	b.report = Report{
		Scenario: s.name, Description: s.description, Command: "go run ./loadtest/bench " + strings.Join(o.args, " "), Began: time.Now().UTC(),
		Options: fmt.Sprintf("%d connections, %d users, %d rounds, %s a phase", o.connections, o.users, o.rounds, o.duration),
	}
	if b.report.Environment, err = b.rig.Environment(ctx); err != nil {
		return nil, err
	}
	if s.databaseOnly {
		b.books, err = b.openBooks(ctx, rig.Database)
	} else {
		b.users, err = b.rig.Seed(ctx, o.users, funds)
	}
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	b.before, err = b.rig.Books(ctx)
	return b, err
}

// address of the API, as host:port.
func (b *bench) address() string { return hostPort(b.rig.URL()) }

func hostPort(url string) string { return strings.TrimPrefix(url, "http://") }

// logf reports progress.
func (b *bench) logf(format string, args ...any) { rig.Note(b.out, format, args...) }

// measure makes a load on a tidy database, after a short one that is not counted, and
// adds it to the report. Step is the kind of transfer that the load makes, or any other name.
func (b *bench) measure(ctx context.Context, name, step string, l load) (*Phase, error) {
	if err := b.rig.Refresh(ctx, b.users, 12*time.Minute); err != nil { // access tokens are valid for 15
		return nil, err
	}
	if err := b.rig.Tidy(ctx); err != nil {
		return nil, err
	}
	short := l
	short.length = min(l.length/5, 3*time.Second)
	b.expect(step, short.drive(ctx))
	return b.measureCold(ctx, name, step, l)
}

// measureCold is measure without the short load before it.
func (b *bench) measureCold(ctx context.Context, name, step string, l load) (*Phase, error) {
	profiled := b.startProfile(ctx, name, l.length)
	batches, commands, err := b.committed(ctx)
	if err != nil {
		return nil, err
	}
	committing := b.committing.Load()
	before, peak := b.rig.Gauge(ctx), b.rig.WatchRSS()
	t := l.drive(ctx)
	p := newPhase(name, step, t)
	p.Spent, p.PeakRSS = b.rig.Gauge(ctx).Since(before), peak()
	<-profiled
	if p.Batches, p.Commands, err = b.committed(ctx); err != nil {
		return nil, err
	}
	p.Batches, p.Commands, p.Committing = p.Batches-batches, p.Commands-commands, time.Duration(b.committing.Load()-committing)
	b.expect(step, t)
	return b.add(ctx, p, t)
}

// add adds a phase to the report. It is an error if kizod has exited or if a request was
// refused or failed.
func (b *bench) add(ctx context.Context, p Phase, t *tally) (*Phase, error) {
	b.report.Phases = append(b.report.Phases, p)
	b.logf("%s", p)
	if err := b.rig.Alive(); err != nil {
		return &p, err
	}
	if t.count[failed] > 0 || t.count[refused] > 0 {
		return &p, fmt.Errorf("%s: %d requests were refused and %d failed, the first: %w", p.Name, t.count[refused], t.count[failed], t.err)
	}
	return &p, ctx.Err()
}

// expect notes that what was accepted has to be in the database. All loads in Go move
// one minor unit with each transfer.
func (b *bench) expect(step string, t *tally) {
	b.expectMoney(step, rig.Sum{Count: t.count[accepted], Minor: t.count[accepted]}, 0)
}

func (b *bench) expectMoney(step string, sum rig.Sum, unknown int64) {
	m := b.expected[step]
	m.Accepted, m.Unknown = m.Accepted.Add(sum), m.Unknown+unknown
	b.expected[step] = m
}

// onBatch counts what the ledger in this process commits.
func (b *bench) onBatch(s ledger.BatchStats) {
	b.batches.Add(1)
	b.commands.Add(int64(s.Commands))
	b.committing.Add(int64(s.Duration))
}

// committed counts the batches and commands of the ledgers in kizod and in this process.
func (b *bench) committed(ctx context.Context) (batches, commands int64, err error) {
	batches, commands, err = b.rig.Batches(ctx)
	return batches + b.batches.Load(), commands + b.commands.Load(), err
}

// startProfile takes a CPU profile in the middle of a phase, with -profile: of kizod, or of
// this process where there is none.
func (b *bench) startProfile(ctx context.Context, name string, length time.Duration) <-chan struct{} {
	done := make(chan struct{})
	if b.profile == "" || length < 3*time.Second {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		path := filepath.Join(b.profile, strings.ReplaceAll(name, " ", "-")+".pprof")
		if err := b.writeProfile(ctx, path, length-time.Second); err != nil {
			b.logf("no profile: %v", err)
		}
	}()
	return done
}

func (b *bench) writeProfile(ctx context.Context, path string, length time.Duration) error {
	if err := os.MkdirAll(b.profile, 0o755); err != nil { //nolint:gosec // a profile contains no secrets
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if b.scenario.databaseOnly {
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		rig.Pause(ctx, length)
		pprof.StopCPUProfile()
		return nil
	}
	response, err := http.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", b.rig.PprofURL(), int(length.Seconds()))) //nolint:noctx // the rig's kizod ends it
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(file, response.Body)
	return err
}

// Bounds of the end of a run.
const (
	settleTimeout = 2 * time.Minute
	auditTimeout  = 10 * time.Minute
)

// settle waits until no payment is open, compares what was accepted with the database,
// and audits it.
func (b *bench) settle(ctx context.Context) error {
	settling, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	began := time.Now()
	if err := b.rig.WaitSettled(settling); err != nil {
		return err
	}
	b.report.SettledIn = time.Since(began)
	after, err := b.rig.Books(ctx)
	if err != nil {
		return err
	}
	b.report.compareMoney(b.expected, after.Since(b.before))
	auditing, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	before := b.rig.Gauge(ctx)
	passed, err := b.rig.Audit(auditing)
	if err != nil {
		return err
	}
	spent := b.rig.Gauge(ctx).Since(before)
	b.report.Audit = fmt.Sprintf("%d checks passed in %.1f s (%.1f s of CPU time)", passed, spent.Elapsed.Seconds(), (spent.Generator + spent.Postgres).Seconds())
	if !b.scenario.databaseOnly {
		b.report.Checks = append(b.report.Checks, errorsLogged(b.rig.KizodLog()))
	}
	return nil
}

// publish prints the report and writes it to files. Money that differs is an error, and
// with -strict also a missed target.
func (b *bench) publish() error {
	for _, p := range b.report.Phases {
		b.report.Spent, b.report.PeakRSS = b.report.Spent.Plus(p.Spent), max(b.report.PeakRSS, p.PeakRSS)
	}
	fmt.Fprintln(b.out)
	b.report.WriteMarkdown(b.out)
	path, err := b.report.WriteFiles(b.reports)
	if err != nil {
		return err
	}
	b.logf("%s.md and .json", path)
	if wrong := b.report.Wrong(); len(wrong) > 0 {
		return fmt.Errorf("the database differs from what was accepted: %s", strings.Join(wrong, "; "))
	}
	if missed := b.report.Missed(); b.strict && len(missed) > 0 {
		return fmt.Errorf("targets were missed: %s", strings.Join(missed, "; "))
	}
	return nil
}

// runScenario runs one scenario on a rig of its own.
func runScenario(ctx context.Context, s *scenario, o options, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.timeout, defaultTimeout))
	defer cancel()
	b, err := openBench(ctx, s, o, out)
	if err != nil {
		return err
	}
	err = s.run(ctx, b)
	if err == nil {
		err = b.settle(ctx)
	}
	return errors.Join(err, b.publish(), b.rig.Close())
}
