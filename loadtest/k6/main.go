package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

type options struct {
	scenarios []*scenario
	duration  time.Duration // 0: the scenario's own
	users     int
	k6        string
	reports   string
	strict    bool
	storm     float64
	vus       int
	rig       rig.Config
	args      []string
	log       io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		os.Exit(1)
	}
}

// funds of each user, in minor units: more than any scenario lets one spend.
const funds = 10_000_000

func parse(args []string, log io.Writer) (options, error) {
	o := options{args: args, log: log}
	flags := flag.NewFlagSet("k6", flag.ContinueOnError)
	flags.SetOutput(log)
	name := flags.String("scenario", "k6-profile", "one or more of "+names()+", with commas; or all")
	flags.DurationVar(&o.duration, "duration", 0, "length of the part that counts; 0: the scenario's own")
	flags.IntVar(&o.users, "users", 5000, "users to seed")
	flags.StringVar(&o.k6, "k6", "bin/tools/k6-v1.8.1", "k6; make loadtest installs it")
	flags.StringVar(&o.reports, "report", "loadtest/reports", "directory for the report, as markdown and JSON")
	flags.BoolVar(&o.strict, "strict", false, "a missed target is an error")
	flags.Float64Var(&o.storm, "factor", 20, "k6-auth-storm: wrong passwords, in multiples of what can be hashed")
	flags.IntVar(&o.vus, "vus", 0, "virtual users of k6-profile (100) and k6-hot-receiver (50)")
	flags.StringVar(&o.rig.Binary, "kizod", "", "a kizod that is built already; empty: built from this tree")
	flags.StringVar(&o.rig.Dir, "keep", "", "where PostgreSQL, logs and all live, kept afterwards; empty: a temporary place")
	flags.StringVar(&o.rig.BankPreset, "bank", "calm", "preset of the mock bank: calm or classic")
	flags.Func("kizod-arg", "an argument for kizod serve; may be repeated", func(s string) error {
		o.rig.KizodArgs = append(o.rig.KizodArgs, s)
		return nil
	})
	flags.Func("env", "NAME=value for kizod, no secrets; may be repeated", func(s string) error {
		o.rig.Env = append(o.rig.Env, s)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.scenarios, err = find(*name); err != nil {
		return o, err
	}
	for _, s := range o.scenarios {
		if err := s.check(o.duration); err != nil {
			return o, err
		}
	}
	if o.users < 2 || o.duration < 0 || o.storm <= 0 || flags.NArg() > 0 {
		return o, errors.New("-users is at least 2, -duration not below 0, -factor above 0, and there are no arguments")
	}
	o.rig.Log = log
	return o, nil
}

func find(wanted string) (list []*scenario, err error) {
	if wanted == "all" {
		return scenarios, nil
	}
	for name := range strings.SplitSeq(wanted, ",") {
		known := false
		for _, s := range scenarios {
			if s.name == name {
				list, known = append(list, s), true
			}
		}
		if !known {
			return nil, fmt.Errorf("there is no scenario %q; have %s", name, names())
		}
	}
	return list, nil
}

func names() string {
	var all []string
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	return strings.Join(all, ", ")
}

// run seeds once and runs the scenarios one after the other. A scenario that is
// wrong does not keep the next from running.
func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	if _, err := os.Stat(o.k6); err != nil {
		return fmt.Errorf("k6 is missing (`make loadtest` installs it, -k6 names another): %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.within())
	defer cancel()
	r, err := rig.Start(ctx, o.rig)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	seeding, seeded := context.WithTimeout(ctx, seedWithin(o.users))
	defer seeded()
	users, err := r.Seed(seeding, o.users, funds, rig.SeedOptions{})
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	for _, s := range o.scenarios {
		l := &load{options: o, scenario: s, rig: r, users: users}
		err = errors.Join(err, l.run(ctx, out))
		if ctx.Err() != nil {
			return errors.Join(err, fmt.Errorf("ended early: %w", context.Cause(ctx)))
		}
	}
	return err
}

// within bounds everything.
func (o options) within() time.Duration {
	all := 15*time.Minute + seedWithin(o.users) // a first build takes long
	for _, s := range o.scenarios {
		all += s.within(cmp.Or(o.duration, s.duration))
	}
	return all
}

// seedWithin allows a tenth of the speed that two idle cores have.
func seedWithin(users int) time.Duration {
	return 2*time.Minute + time.Duration(users)*200*time.Millisecond
}
