package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded"
)

// bug is one that can be planted in kizod (server/fault), and the weather in which
// it shows.
type bug struct {
	name   string
	what   string
	stress stress
	lies   float64 // of the bank; below 0: its preset's
}

// Weather for bugs. The counts are those of five minutes.
var (
	bankOnly = stress{kills: 20, bankKills: 20}
	killing  = stress{kills: 200, dying: 1}
	zombies  = stress{stops: 400, bankKills: 20}
	cutting  = stress{commits: 250, cuts: 40}
	noRedis  = stress{kills: 60, redisKills: 60, flushes: 40}
)

// runMutants plants one bug after the other and sees that each is noticed.
func runMutants(ctx context.Context, o options, w io.Writer) error {
	dir, err := os.MkdirTemp("", "kizo-mutants-")
	if err != nil {
		return fmt.Errorf("make a place to build in: %w", err)
	}
	defer os.RemoveAll(dir)
	if o.binary == "" {
		o.binary = filepath.Join(dir, "kizod")
		if err := rig.Build(ctx, o.binary, "-tags", "failpoints"); err != nil {
			return err
		}
	}
	fmt.Fprint(w, "| Planted bug | What it does | Noticed by | After |\n|---|---|---|---|\n")
	var survivors []string
	judge := func(name, what string, caught []string, took time.Duration) {
		by := strings.Join(caught, ", ")
		if len(caught) == 0 {
			by = "**nobody**"
			survivors = append(survivors, name)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %.0f s |\n", name, what, by, took.Seconds())
	}
	for _, b := range bugs {
		if !o.wants(b.name) {
			continue
		}
		caught, took, err := o.plant(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		judge(b.name, b.what, caught, took)
	}
	if o.wants("fsync_off") {
		caught, took, err := serveWithoutFsync(ctx, o)
		if err != nil {
			return err
		}
		judge("fsync_off", "PostgreSQL runs with fsync off", caught, took)
	}
	if len(survivors) > 0 {
		return fmt.Errorf("not noticed: %s", strings.Join(survivors, ", "))
	}
	return nil
}

func (o options) wants(name string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), name)
}

// mutantRounds bounds how often a bug may hide: each round has another seed.
const mutantRounds = 3

// plant runs with the bug until a rule is broken. The rules come in order of how
// often they were.
func (o options) plant(ctx context.Context, b bug) (caught []string, took time.Duration, err error) {
	began := time.Now()
	o.bugs, o.stress, o.lies, o.failFast, o.points, o.mutants = b.name, b.stress, b.lies, true, false, false
	o.border = b.stress == zombies // a zombie needs something in its hands
	o.duration, o.summary, o.keep = 12*time.Second, "", ""
	log := o.log
	for round := range uint64(mutantRounds) {
		o.seed, o.log = o.seed+round, io.Discard
		result, err := run(ctx, o)
		if err != nil {
			if ctx.Err() != nil {
				return nil, 0, err
			}
			// A kizod that cannot even be used is a bug that was noticed.
			fmt.Fprintf(log, "%s: %v\n", b.name, err)
			first, _, _ := strings.Cut(err.Error(), "\n")
			return []string{"the run itself: " + first}, time.Since(began), nil
		}
		if _, counts := result.found.all(); len(counts) > 0 {
			for rule, n := range counts {
				caught = append(caught, fmt.Sprintf("%s (%d)", rule, n))
			}
			slices.Sort(caught)
			return caught, time.Since(began), nil
		}
	}
	return nil, time.Since(began), nil
}

// serveWithoutFsync is no bug of kizod's but of who runs it: kizod has to refuse.
func serveWithoutFsync(ctx context.Context, o options) (caught []string, took time.Duration, err error) {
	began := time.Now()
	dir, err := os.MkdirTemp("", "kizo-fsync-")
	if err != nil {
		return nil, 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // where we are root, PostgreSQL's own user walks through it
		return nil, 0, err
	}
	p, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{
		Dir: filepath.Join(dir, "pg"), Settings: map[string]string{"fsync": "off"},
	})
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, p.Kill()) }()
	if err := p.EnsureDatabase(ctx, database); err != nil {
		return nil, 0, err
	}
	migrate, err := rig.Spawn(o.binary, []string{"migrate"},
		rig.ChildEnvironment("KIZO_MIGRATE_URL="+p.URL(database, embedded.OwnerRole)), filepath.Join(dir, "log"))
	if err != nil {
		return nil, 0, err
	}
	<-migrate.Done()
	if err := auth.CreateSecrets(filepath.Join(dir, "secrets.json")); err != nil {
		return nil, 0, err
	}
	serve, err := rig.Spawn(o.binary, []string{
		"serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--bank-url", "http://127.0.0.1:1",
		"--secrets-file", filepath.Join(dir, "secrets.json"),
	}, rig.ChildEnvironment("KIZO_DATABASE_URL="+p.URL(database, embedded.AppRole)), filepath.Join(dir, "log"))
	if err != nil {
		return nil, 0, err
	}
	defer serve.End(endWithin)
	timer := time.NewTimer(startWithin / 2)
	defer timer.Stop()
	select {
	case <-serve.Done():
		if serve.Err() != nil && strings.Contains(rig.Tail(filepath.Join(dir, "log")), "fsync") {
			caught = []string{"kizod does not start"}
		}
	case <-timer.C:
	}
	return caught, time.Since(began), nil
}
