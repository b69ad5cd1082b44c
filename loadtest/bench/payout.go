package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

const payoutRows = 100_000

const payoutCheck, payoutJSON, payoutCSV = "kizo pay --dry-run", "kizo pay", "kizo pay --results csv"

// payoutTarget is in rows per second, with PostgreSQL, kizod and kizo on two CPUs.
const payoutTarget = 10_000

// payout measures the real kizo pay: the time of the whole command, from its start to its end.
func payout(ctx context.Context, b *bench) error {
	kizo := b.rig.Path("kizo")
	if err := rig.BuildCommand(ctx, "kizo", kizo); err != nil {
		return err
	}
	file, err := b.writePayout()
	if err != nil {
		return err
	}
	pay := func(name, step, run string, args ...string) error {
		args = append([]string{"pay", "--file", file, "--run", run, "--yes", "--json=posted,rows"}, args...)
		return b.runPayout(ctx, name, step, kizo, args)
	}
	for round := range b.rounds {
		if err := pay(payoutCheck, "check", "checked", "--dry-run"); err != nil {
			return err
		}
		if err := pay(payoutJSON, "transfer", fmt.Sprint("json", round)); err != nil {
			return err
		}
		if err := pay(payoutCSV, "transfer", fmt.Sprint("csv", round), "--results", "csv"); err != nil {
			return err
		}
	}
	total, _, _ := b.report.total(payoutJSON)
	b.report.check("rows/s of "+payoutJSON, total.PerSecond(), "≥", payoutTarget)
	return nil
}

// writePayout writes a file with rows of one minor unit from the first user to each other user in
// turn.
func (b *bench) writePayout() (path string, err error) {
	path = b.rig.Path("payouts.csv")
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	out := bufio.NewWriter(file)
	fmt.Fprintln(out, "to,amount,currency,memo,id")
	for i := range payoutRows {
		fmt.Fprintf(out, "@%s,0.01,USD,\"wages, November\",%d\n", b.users[1+i%(len(b.users)-1)].Handle, i)
	}
	if err := out.Flush(); err != nil {
		return "", err
	}
	return path, file.Close()
}

// runPayout runs kizo pay to its end, and adds it to the report. The CPU time of the generator is
// that of kizo.
func (b *bench) runPayout(ctx context.Context, name, step, kizo string, args []string) error {
	if err := b.rig.Refresh(ctx, b.users[:1], 12*time.Minute); err != nil { // access tokens are valid for 15
		return err
	}
	if err := b.rig.Tidy(ctx); err != nil {
		return err
	}
	state := filepath.Dir(kizo)
	cmd := exec.CommandContext(ctx, kizo, args...)
	cmd.Env = rig.ChildEnvironment("KIZO_SERVER="+b.rig.URL(), "KIZO_TOKEN="+b.users[0].AccessToken,
		"XDG_STATE_HOME="+filepath.Join(state, "kizo-state"), "XDG_CONFIG_HOME="+filepath.Join(state, "kizo-config"))
	var printed, notes bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &notes
	profiled := b.startProfile(ctx, name, 3*time.Second)
	batches, commands, err := b.committed(ctx)
	if err != nil {
		return err
	}
	before, peak := b.rig.Gauge(ctx), b.rig.WatchRSS()
	began := time.Now()
	err = cmd.Run()
	took := time.Since(began)
	spent, rss := b.rig.Gauge(ctx).Since(before), peak()
	<-profiled
	var result struct{ Posted, Rows int64 }
	if err == nil {
		err = json.Unmarshal(printed.Bytes(), &result)
	}
	if err != nil || result.Rows != payoutRows {
		return fmt.Errorf("%s: %w: %.500s %.500s", name, err, &printed, &notes)
	}
	t := &tally{elapsed: took}
	t.count[accepted] = result.Rows
	p := newPhase(name, step, t)
	p.Spent, p.PeakRSS = spent, rss
	p.Spent.Generator = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if p.Batches, p.Commands, err = b.committed(ctx); err != nil {
		return err
	}
	p.Batches, p.Commands = p.Batches-batches, p.Commands-commands
	b.expectMoney(step, rig.Sum{Count: result.Posted, Minor: result.Posted}, 0)
	_, err = b.add(ctx, p, t)
	return err
}
