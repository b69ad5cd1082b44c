// Command growth measures what becomes slower as the books grow.
//
// One PostgreSQL is started as `kizod dev` starts it, fully durable, in a
// directory that is removed afterwards. The books grow by ledger.Transfer alone, and
// stop at each size to be measured: transfers/s, lists, balances as of a time,
// the summary, the events, the audit, and what tables and indexes take on disk.
//
// One wallet, the busy one, has a tenth of all postings; another, the quiet one,
// has a handful. A wallet's history is one month's, which is the worst case of the
// month's totals.
//
// A machine that gets slower is slower for everybody: at each size the books take
// turns with a second database on the same PostgreSQL that has just been made, and
// the ratio of the two is what to look at.
//
// Reads are timed from this process, so a statement's time in the database is
// less. At the end the books are audited once more, and what was accepted is
// compared with what stands in them. The exit status is 1 when they differ, or
// when something failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

type options struct {
	sizes    []int64 // postings
	duration time.Duration
	rounds   int
	callers  int
	growers  int
	accounts int
	reads    int
	limit    time.Duration
	settings map[string]string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	o := options{settings: map[string]string{}, sizes: []int64{100_000, 1_000_000}}
	flags := flag.NewFlagSet("growth", flag.ContinueOnError)
	flags.Func("sizes", "postings at which to stop and measure (default 100000,1000000; 10000000 takes about half an hour)", func(s string) error {
		o.sizes = nil
		for text := range strings.SplitSeq(s, ",") {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 1 {
				return errors.New("write whole numbers with commas between them")
			}
			o.sizes = append(o.sizes, n)
		}
		slices.Sort(o.sizes)
		return nil
	})
	flags.DurationVar(&o.duration, "duration", 5*time.Second, "length of each phase of transfers")
	flags.IntVar(&o.rounds, "rounds", 3, "phases at each size")
	flags.IntVar(&o.callers, "callers", 100, "concurrent callers in a phase")
	flags.IntVar(&o.growers, "growers", 1024, "concurrent callers while the books grow")
	flags.IntVar(&o.accounts, "accounts", 10_000, "funded wallets")
	flags.IntVar(&o.reads, "reads", 200, "how often each read is timed")
	flags.DurationVar(&o.limit, "limit", time.Hour, "give up after so long")
	rig.SettingsFlag(flags, o.settings)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.callers < 1 || o.growers < 1 || o.growers > 8192 || o.rounds < 1 || o.reads < 1 || o.duration <= 0 || o.accounts < 3 {
		return o, errors.New("-callers, -rounds, -reads and -duration are at least 1, -growers 1 to 8192, -accounts at least 3")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	b, err := openBench(ctx, o, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.grow(ctx); err != nil {
		return err
	}
	report(out, b)
	return b.check(ctx)
}
