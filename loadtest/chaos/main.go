package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// options of a run.
type options struct {
	duration   time.Duration // of the faults
	seed       uint64
	rate       int // operations per second, at most
	clients    int
	users      int
	preset     string  // of the bank
	lies       float64 // share of the bank's answers that are wrong; below 0: the value of the preset
	keep       string  // working directory, which is kept
	binary     string  // a kizod built with -tags failpoints; built by the run if empty
	stress     stress
	bankHeavy  bool // half of the operations are deposits and withdrawals
	points     bool // let kizod die at its failpoints too
	strict     bool // a missed target is a violation
	failFast   bool // stop at the first violation that clients see
	mutants    bool
	byFaultRun bool // check mutants with the fault run even if tests catch them
	only       string
	scenarios  bool
	scenario   *scenario // instead of the nemesis
	noRedis    bool
	failover   bool // run the failovers
	failovers  int  // of each engine
	cluster    bool // PostgreSQL and Redis of deploy/ha, without the proxy
	standby    standby
	loses      bool // the run must find lost payments
	noReads    bool // of wallets
	log        io.Writer
}

func main() { rig.Main("chaos", command) }

func command(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "seed %d (SEED=%d repeats this run)\n\n", o.seed, o.seed)
	switch {
	case o.mutants:
		return runMutants(ctx, o, stdout)
	case o.scenarios:
		return runScenarios(ctx, o, scenarios, stdout)
	case o.failover:
		return runScenarios(ctx, o, failovers, stdout)
	}
	result, err := run(ctx, o)
	if result != nil {
		err = errors.Join(err, result.publish(stdout))
	}
	return err
}

func parseOptions(args []string) (options, error) {
	o := options{log: os.Stderr, stress: everything, lies: -1, points: true}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.DurationVar(&o.duration, "duration", 5*time.Minute, "time in which faults are injected")
	flags.Uint64Var(&o.seed, "seed", 0, "repeats a run; 0 chooses a new seed")
	flags.IntVar(&o.rate, "rate", 300, "operations per second, at most")
	flags.IntVar(&o.clients, "clients", 64, "concurrent clients")
	flags.IntVar(&o.users, "users", 12, "users that the clients act as")
	flags.StringVar(&o.preset, "bank", "hell", "faults of the bank: calm, classic or hell")
	flags.StringVar(&o.keep, "keep", "", "working directory, which is kept; a temporary one if empty")
	flags.BoolVar(&o.strict, "strict", false, "fail when a target is missed, not only when a rule is broken")
	flags.BoolVar(&o.mutants, "mutants", false, "plant one bug after the other and check that its test or a fault run catches it")
	flags.BoolVar(&o.byFaultRun, "by-fault-run", false, "with -mutants: check those that name rules of the fault run with it, in place of tests")
	flags.BoolVar(&o.scenarios, "scenarios", false, "run the scenarios: one kind of fault each, and one promise")
	flags.BoolVar(&o.failover, "failover", false, "run the failovers of PostgreSQL and Redis, on the cluster of deploy/ha")
	flags.IntVar(&o.failovers, "failovers", 10, "with -failover: how often each primary is killed")
	flags.StringVar(&o.only, "only", "", "with -mutants, -scenarios or -failover: these alone, separated by commas")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("there are no arguments, only flags: %s", strings.Join(flags.Args(), " "))
	}
	if o.duration < time.Second || o.clients < 1 || o.users < 4 || o.rate < 1 {
		return o, errors.New("at least -duration 1s, -clients 1, -users 4, -rate 1")
	}
	if o.seed == 0 {
		o.seed = rand.Uint64() >> 16 //nolint:gosec // a seed, short enough to type
	}
	return o, nil
}
