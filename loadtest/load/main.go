// Command load finds Kizo's limits: a light generator over HTTP, for what a heavier
// one would hide. Everything runs on this machine, on loopback, and ends by itself.
//
//	limits    bare SQL, the ledger alone, then HTTP: many to many, one hot receiver,
//	          one hot sender; the same callers for each, in one run
//	overload  as much as the server takes, then three times that, then half of it
//	storm     payments alone, then with wrong passwords at a multiple of what can be
//	          hashed, then alone again, then beside a process that only spins
//	busy      sign-ups beside processes that use all the CPU time they get
//	idle      start to ready, and memory at rest
//
// Load is closed (each connection sends when it has its answer) or open (requests
// are due by the clock, whatever became of those before). Under open load a latency
// begins when the request was due and not when it could be sent: otherwise a server
// that stalls would be asked less, and look better (coordinated omission).
//
// What was accepted is compared with what stands posted in the database, and every
// scenario ends with `kizod audit`. The exit status is 1 when either is wrong, or
// when a request failed that had no reason to.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

type options struct {
	scenario    string
	duration    time.Duration // of a measured phase
	rounds      int
	connections int
	users       int
	rate        float64 // payments a second beside the storm
	factor      float64 // of the storm: wrong passwords, in multiples of what can be hashed
	binary      string
	report      string // directory
	profile     string // directory
	kizodArgs   []string
	settings    map[string]string // of PostgreSQL
	only        string
	keep        string
}

// longest bounds a whole run, whatever was asked for.
const longest = time.Hour

func main() {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case spin:
			beSpinner()
		case busyNormal, busyNice:
			beBusy(os.Args[1])
		}
	}
	debug.SetGCPercent(400) // the generator shares the processors with what it measures
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, longest)
	err := run(ctx, os.Args[1:], os.Stdout)
	cancel()
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	o := options{settings: map[string]string{}}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&o.scenario, "scenario", "limits", strings.Join(names(), ", "))
	flags.DurationVar(&o.duration, "duration", 30*time.Second, "length of a measured phase")
	flags.IntVar(&o.rounds, "rounds", 1, "how often the phases of limits take turns")
	flags.IntVar(&o.connections, "connections", 100, "keep-alive connections under closed load")
	flags.IntVar(&o.users, "users", 1000, "users with a wallet")
	flags.Float64Var(&o.rate, "rate", 200, "payments a second beside the storm")
	flags.Float64Var(&o.factor, "factor", 20, "wrong passwords in the storm, in multiples of what can be hashed")
	flags.StringVar(&o.binary, "kizod", "", "a kizod that is built already")
	flags.StringVar(&o.report, "report", "loadtest/reports", "directory for the report, as markdown and JSON")
	flags.StringVar(&o.profile, "profile", "", "directory for a CPU profile of kizod in each phase over HTTP")
	flags.Func("kizod-arg", "an argument for kizod serve; may be repeated", func(s string) error {
		o.kizodArgs = append(o.kizodArgs, s)
		return nil
	})
	flags.StringVar(&o.only, "only", "", "phases of limits to run, separated by commas (all when empty)")
	flags.StringVar(&o.keep, "dir", "", "directory for everything, which is kept; a temporary one when empty")
	rig.SettingsFlag(flags, o.settings)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case !slices.Contains(names(), o.scenario):
		return o, fmt.Errorf("there is no scenario %q: choose from %s", o.scenario, strings.Join(names(), ", "))
	case o.connections < 1 || o.connections > 10_000 || o.users < 2 || o.rounds < 1 || o.rate <= 0 || o.factor <= 0:
		return o, errors.New("-connections is 1 to 10000, -users at least 2, -rounds at least 1, -rate and -factor above 0")
	case o.duration < time.Second || o.duration > 10*time.Minute:
		return o, errors.New("-duration is 1s to 10m")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	b, err := openBench(ctx, o, out)
	if err != nil {
		return err
	}
	err = scenarios[o.scenario](ctx, b)
	if err == nil {
		err = b.settle(ctx)
	}
	err = errors.Join(err, b.write())
	return errors.Join(err, b.rig.Close())
}
