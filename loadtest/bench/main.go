// Command bench measures Kizo. Everything that a scenario needs runs on this machine,
// on loopback, and ends with it.
//
//	            ┌─ in this process ─ plain SQL, package ledger ─┐
//	scenario ───┼─ generator in Go ─ HTTP ─► kizod ─────────────┼─► PostgreSQL
//	            └─ k6 ───────────────HTTP ─► kizod ─► mock bank ┘
//
//	seed ─► count ─► load, phase by phase ─► wait until settled ─► count ─► audit ─► report
//
// # Usage
//
//	go run ./loadtest/bench list
//	go run ./loadtest/bench run SCENARIO... [flags]
//
// `list` describes the scenarios. Every run writes one report, as markdown and as JSON,
// with the machine, the phases, the CPU time and memory that they used, targets, the money
// that was accepted and posted, and the audit.
//
// Load is closed (each connection sends a request when it has its answer) or open (requests are
// due by the clock, regardless of earlier ones). Under open load a latency begins when the
// request was due and not when it was sent: otherwise a server that stalls would get fewer
// requests and look better (coordinated omission). k6 begins latencies when it sends, and
// drops late iterations; the report shows how many.
//
// The exit status is 1 when the database differs from what was accepted, when the audit
// fails, when a request failed without a reason, or with -strict when a target is missed.
// Absolute figures depend on the machine; compare ratios within one run.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// options of a run. A zero value selects the scenario's default.
type options struct {
	args        []string
	duration    time.Duration // of a phase
	rounds      int
	connections int
	users       int
	only        []string
	reports     string // directory
	profile     string // directory
	strict      bool
	config      rig.Config

	rate, factor float64 // storm and k6-auth-storm

	committers int      // ledger
	statements []string // ledger
	settings   []string // of PostgreSQL
	sizes      []int64  // growth, in postings

	k6  string // path
	vus int    // virtual users of k6
}

// scenario is one thing to measure.
type scenario struct {
	name         string
	description  string
	run          func(context.Context, *bench) error
	databaseOnly bool // the load runs in this process on a PostgreSQL without kizod
	users        int
	rounds       int
	duration     time.Duration
	timeout      time.Duration
	kizodArgs    []string
	k6           *k6Script // of a scenario that k6 runs
}

// unlimited raises the rate limit of users, because one sender pays more than a user may. The
// limiter still runs.
var unlimited = []string{"--rate-limit=100000"}

func scenarios() []*scenario {
	return append([]*scenario{
		{
			name: "ledger", run: groupCommit, databaseOnly: true, users: 10_000, rounds: 3, duration: 4 * time.Second,
			description: "Group commit against one transaction per transfer, on one PostgreSQL, in turns; random pairs and one hot receiver.",
		},
		{
			name: "capacity", run: capacity, rounds: 1, kizodArgs: unlimited,
			description: "Plain SQL, the ledger alone, then HTTP: random pairs, one hot receiver, one hot sender; the same callers for each, in turns.",
		},
		{
			name: "http", run: httpOnly, rounds: 1, kizodArgs: unlimited,
			description: "The phases of capacity over HTTP.",
		},
		{
			name: "overload", run: overload,
			description: "As many payments as the server takes, half of it, three times as many, and at once half of it again.",
		},
		{
			name: "storm", run: storm,
			description: "Payments alone, with wrong passwords at a multiple of what can be hashed, alone again, and beside a process that only uses CPU time.",
		},
		{
			name: "busy", run: busy,
			description: "Sign-ups beside a dozen processes per CPU that use all the CPU time they get.",
		},
		{
			name: "bulk", run: bulk, rounds: 3, duration: 8 * time.Second, kizodArgs: unlimited,
			description: "Batches of 500 transfers from 8 clients, each for itself or atomic, in turns with single transfers; then 200 single transfers/s beside them.",
		},
		{
			name: "payout", run: payout, rounds: 3, kizodArgs: unlimited,
			description: "kizo pay with a file of 100,000 rows: the check alone, then the payout with results as JSON lines, and as CSV.",
		},
		{
			name: "cores", run: cores, rounds: 5, duration: 3 * time.Second, kizodArgs: unlimited,
			description: "Service times, programs on cores of their own and two kizods; a model of them, and what it predicts for more cores. Linux, two CPUs.",
		},
		{
			name: "idle", run: idle,
			description: "Time from start to ready on an existing database, and memory after ten seconds without load.",
		},
		{
			name: "growth", run: growth, databaseOnly: true, users: 10_000, rounds: 3, duration: 5 * time.Second,
			description: "Transfers, reads and the audit at each size of the database, in turns with a new database; size on disk.",
		},
	}, k6Scenarios()...)
}

const defaultTimeout = time.Hour

// complete returns options with the scenario's defaults in place of zero values.
func (s *scenario) complete(o options) options {
	o.users = cmp.Or(o.users, s.users, 1000)
	o.rounds = cmp.Or(o.rounds, s.rounds, 1)
	o.duration = cmp.Or(o.duration, s.duration, 30*time.Second)
	return o
}

func main() {
	debug.SetGCPercent(400) // the generator shares the CPUs with what it measures
	rig.Main("bench", command)
}

func command(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "list" {
		for _, s := range scenarios() {
			fmt.Fprintf(out, "%-16s %s\n", s.name, s.description)
		}
		return nil
	}
	chosen, o, err := parse(args)
	if err != nil {
		return err
	}
	for _, s := range chosen {
		if failure := runScenario(ctx, s, o, out); failure != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", s.name, failure))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return err
}

// parse reads `run SCENARIO... [flags]`.
func parse(args []string) (chosen []*scenario, o options, err error) {
	if len(args) == 0 || args[0] != "run" {
		return nil, o, errors.New("use `bench list` or `bench run SCENARIO... [flags]`")
	}
	o = options{args: args, sizes: []int64{100_000, 1_000_000}}
	rest := args[1:]
	for ; len(rest) > 0 && !strings.HasPrefix(rest[0], "-"); rest = rest[1:] {
		i := slices.IndexFunc(scenarios(), func(s *scenario) bool { return s.name == rest[0] })
		if i < 0 {
			return nil, o, fmt.Errorf("there is no scenario %q: see `bench list`", rest[0])
		}
		chosen = append(chosen, scenarios()[i])
	}
	flags := o.flags()
	if err := flags.Parse(rest); err != nil {
		return nil, o, err
	}
	if len(chosen) == 0 || flags.NArg() > 0 {
		return nil, o, errors.New("name one or more scenarios before the flags, and nothing after them")
	}
	return chosen, o, o.check(chosen)
}

func (o *options) flags() *flag.FlagSet {
	flags := flag.NewFlagSet("bench run SCENARIO...", flag.ContinueOnError)
	flags.DurationVar(&o.duration, "duration", 0, "length of a phase; 0: the scenario's default")
	flags.IntVar(&o.rounds, "rounds", 0, "how often the phases take turns; 0: the scenario's default")
	flags.IntVar(&o.connections, "connections", 100, "connections, or callers in this process, under closed load")
	flags.IntVar(&o.users, "users", 0, "users with a wallet; 0: the scenario's default")
	flags.Func("only", "phases of ledger and capacity, or measurements of growth (transfers, reads, audit, audit-beside, sizes), separated by commas", func(s string) error {
		o.only = strings.Split(s, ",")
		return nil
	})
	flags.StringVar(&o.reports, "report", "loadtest/reports", "directory for the report, as markdown and JSON")
	flags.StringVar(&o.profile, "profile", "", "directory for a CPU profile of each phase of 3 s or more: of kizod, or of this process in ledger")
	flags.BoolVar(&o.strict, "strict", false, "a missed target is an error")
	flags.StringVar(&o.config.Binary, "kizod", "", "an existing kizod; built from this tree if empty")
	flags.StringVar(&o.config.BankPreset, "bank", "calm", "preset of the mock bank: calm or classic")
	repeated(flags, &o.settings, "set", "a PostgreSQL setting, as name=value; may be repeated")
	flags.Float64Var(&o.rate, "rate", 200, "storm: payments per second")
	flags.Float64Var(&o.factor, "factor", 20, "storm, k6-auth-storm: wrong passwords, in multiples of what can be hashed")
	flags.IntVar(&o.committers, "committers", 0, "ledger: batches in flight at once; 0: the ledger's default")
	repeated(flags, &o.statements, "sql", "ledger: a statement that the owner executes first; may be repeated")
	flags.Func("sizes", "growth: postings at which to measure (default 100000,1000000; 10000000 takes about 15 minutes)", func(s string) error {
		o.sizes = nil
		return json.Unmarshal([]byte("["+s+"]"), &o.sizes)
	})
	flags.StringVar(&o.k6, "k6", "bin/tools/k6-v1.8.1", "path of k6; `make loadtest` installs it")
	flags.IntVar(&o.vus, "vus", 0, "virtual users of k6-profile (100) and k6-hot-receiver (50)")
	return flags
}

func repeated(flags *flag.FlagSet, list *[]string, name, usage string) {
	flags.Func(name, usage, func(s string) error {
		*list = append(*list, s)
		return nil
	})
}

func (o *options) check(chosen []*scenario) error {
	switch {
	case o.connections < 1 || o.connections > 10_000:
		return errors.New("-connections is 1 to 10000")
	case o.users < 0 || o.users == 1 || o.rounds < 0 || o.rate <= 0 || o.factor <= 0:
		return errors.New("-users is at least 2, -rounds at least 1, -rate and -factor above 0")
	case o.duration != 0 && o.duration < time.Second:
		return errors.New("-duration is at least 1s")
	}
	for _, s := range chosen {
		if err := s.checkDuration(o.duration); err != nil {
			return err
		}
	}
	o.config.PostgresSettings = make(map[string]string)
	for _, setting := range o.settings {
		name, value, ok := strings.Cut(setting, "=")
		if o.config.PostgresSettings[name] = value; !ok {
			return errors.New("write -set name=value")
		}
	}
	return nil
}
