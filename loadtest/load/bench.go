package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/loadtest/rig"
)

const funds = 100_000_000 // minor units of each user: a hot sender must not run dry

// bench is a running Kizo, its users, and what has been measured.
type bench struct {
	options
	out    io.Writer
	rig    *rig.Rig
	users  []rig.User
	before rig.Books
	report report
	posted int64 // transfers that somebody was told were posted
}

var scenarios = map[string]func(context.Context, *bench) error{
	"limits": limits, "overload": overload, "storm": storm, "busy": busy, "idle": idle,
}

func names() []string { return []string{"limits", "overload", "storm", "busy", "idle"} }

func openBench(ctx context.Context, o options, out io.Writer) (*bench, error) {
	uuid.EnableRandPool() // the generator's keys need to be different, not secret
	if o.scenario == "limits" {
		// One sender is to pay more than a person does. The limit still costs what it costs.
		o.kizodArgs = append([]string{"--rate-limit=100000"}, o.kizodArgs...)
	}
	r, err := rig.Start(ctx, rig.Config{Binary: o.binary, Dir: o.keep, KizodArgs: o.kizodArgs, PostgresSettings: o.settings, Log: out})
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, out: out, rig: r}
	b.report.Scenario, b.report.Options = o.scenario, fmt.Sprintf("%d connections, %d users, %s a phase", o.connections, o.users, o.duration)
	if b.report.Environment, err = r.Environment(ctx); err == nil {
		b.users, err = r.Seed(ctx, o.users, funds, rig.SeedOptions{})
	}
	if err == nil {
		b.before, err = r.Books(ctx)
	}
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	return b, nil
}

// address of the API, as host:port.
func (b *bench) address() string { return strings.TrimPrefix(b.rig.URL(), "http://") }

// measure drives a load on a tidy database, after a short one that is not counted, and
// notes it under a name. countsAsPosted says that what is accepted must stand in the books.
func (b *bench) measure(ctx context.Context, name string, l load, countsAsPosted bool) (*phase, error) {
	if err := b.rig.Refresh(ctx, b.users, 12*time.Minute); err != nil { // access tokens live for 15
		return nil, err
	}
	if err := b.rig.Tidy(ctx); err != nil {
		return nil, err
	}
	short := l
	short.length = min(l.length/5, 3*time.Second)
	b.count(short.drive(ctx), countsAsPosted)
	return b.measureCold(ctx, name, l, countsAsPosted)
}

// measureCold is measure without the short load before it.
func (b *bench) measureCold(ctx context.Context, name string, l load, countsAsPosted bool) (*phase, error) {
	profiled := b.startProfile(ctx, name, l.length)
	before, memory := b.rig.Gauge(), b.rig.WatchRSS()
	t := l.drive(ctx)
	p := newPhase(name, t, b.rig.Gauge().Since(before), memory())
	<-profiled
	b.count(t, countsAsPosted)
	b.report.Phases = append(b.report.Phases, p)
	fmt.Fprintf(b.out, "%s  %s\n", time.Now().Format("15:04:05"), p)
	if err := b.rig.Alive(); err != nil {
		return &p, err
	}
	if t.count[failed] > 0 || t.count[refused] > 0 {
		return &p, fmt.Errorf("%s: %d requests were refused and %d failed, the first: %w", name, t.count[refused], t.count[failed], t.err)
	}
	return &p, ctx.Err()
}

func (b *bench) count(t *tally, posted bool) {
	if posted {
		b.posted += t.count[accepted]
	}
}

// startProfile takes a CPU profile of kizod in the middle of a phase, if asked to.
func (b *bench) startProfile(ctx context.Context, name string, length time.Duration) <-chan struct{} {
	done := make(chan struct{})
	if b.profile == "" || length < 3*time.Second {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", b.rig.PprofURL(), int(length.Seconds())-1)
		if err := download(ctx, url, filepath.Join(b.profile, strings.ReplaceAll(name, " ", "-")+".pprof")); err != nil {
			fmt.Fprintln(b.out, "no profile:", err)
		}
	}()
	return done
}

func download(ctx context.Context, url, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil) //nolint:gosec // our own kizod
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request) //nolint:gosec // our own kizod
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // nothing secret
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, response.Body); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

// settle compares what was accepted with what stands in the books, and audits them.
func (b *bench) settle(ctx context.Context) error {
	if err := b.rig.WaitSettled(ctx); err != nil {
		return err
	}
	after, err := b.rig.Books(ctx)
	if err != nil {
		return err
	}
	b.report.Accepted, b.report.Settled = b.posted, after.Since(b.before).Posted("transfer").Count
	began := time.Now()
	if _, err := b.rig.Audit(ctx); err != nil {
		return err
	}
	b.report.AuditSeconds = time.Since(began).Seconds()
	if b.report.Settled != b.report.Accepted {
		return fmt.Errorf("%d transfers were accepted and %d stand posted in the books", b.report.Accepted, b.report.Settled)
	}
	return nil
}
