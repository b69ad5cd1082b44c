// Command ledgerbench measures what group commit is worth: the ledger beside
// the plain way of moving money, on one PostgreSQL, in one run.
//
//	a    one transaction per transfer, a statement at a time, random pairs
//	b    ledger.Transfer, random pairs
//	a'   as a, and all the money goes to one account
//	b'   as b, and all the money goes to one account
//
// PostgreSQL is started as `kizod dev` starts it, fully durable, in a directory
// that is removed afterwards. The phases take turns, round after round, so that
// a machine that gets slower is slower for all of them. Absolute figures belong
// to the machine; the ratios are what to look at.
//
// The plain way gets every advantage: a schema of its own with primary keys and
// the unique key and nothing else, no triggers, no checks, no events, no running
// balances, no list indexes, prepared statements, a connection for each caller.
//
// At the end the books are audited, and what was accepted is compared with what
// stands in them. The exit status is 1 when they differ, or when something failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

type options struct {
	duration   time.Duration // of a phase in each round
	warmUp     time.Duration
	rounds     int
	callers    int
	accounts   int
	committers int
	rivalConns int
	only       string
	settings   map[string]string
	statements []string
	profile    string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "ledgerbench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	o := options{settings: map[string]string{}}
	flags := flag.NewFlagSet("ledgerbench", flag.ContinueOnError)
	flags.DurationVar(&o.duration, "duration", 4*time.Second, "length of each phase in each round")
	flags.DurationVar(&o.warmUp, "warm-up", time.Second, "length of each phase before the first round, not counted")
	flags.IntVar(&o.rounds, "rounds", 3, "how often the phases take turns")
	flags.IntVar(&o.callers, "callers", 100, "concurrent callers, each with one transfer at a time")
	flags.IntVar(&o.accounts, "accounts", 10_000, "funded accounts")
	flags.IntVar(&o.committers, "committers", 0, "batches of the ledger in flight at once; 0: the ledger's default")
	flags.IntVar(&o.rivalConns, "plain-conns", 0, "connections of the plain way; 0: one for each caller, at most 150")
	flags.StringVar(&o.only, "only", "", "phases to run, such as b,b' (all when empty)")
	flags.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the phases b and b' to this file")
	rig.SettingsFlag(flags, o.settings)
	flags.Func("sql", "a statement to run first as the owner, to see what a constraint costs; may be repeated", func(s string) error {
		o.statements = append(o.statements, s)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.callers < 1 || o.accounts < 2 || o.rounds < 1 || o.duration <= 0 {
		return o, errors.New("-callers, -rounds and -duration are at least 1, -accounts at least 2")
	}
	if o.rivalConns == 0 {
		o.rivalConns = min(o.callers, 150) // below max_connections of `kizod dev`
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	b, err := openBench(ctx, o, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.fund(ctx); err != nil {
		return fmt.Errorf("fund the accounts: %w", err)
	}
	phases := b.phases()
	if err := b.rounds(ctx, phases); err != nil {
		return err
	}
	report(out, b, phases)
	return b.check(ctx)
}
