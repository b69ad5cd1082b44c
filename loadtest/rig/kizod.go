package rig

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/ledger"
)

// Secrets of the bank, which exists as long as the run.
const (
	bankToken      = "rig-bank-token"
	callbackSecret = "rig-callback-secret"
)

// FindBinary returns the absolute path of an existing kizod, or builds one in dir with
// these flags if binary is empty.
func FindBinary(ctx context.Context, binary, dir string, flags ...string) (string, error) {
	if binary != "" {
		return filepath.Abs(binary)
	}
	binary = filepath.Join(dir, "kizod")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute) // a first build compiles everything
	defer cancel()
	return binary, Build(ctx, binary, flags...)
}

// StartBank starts the mock bank with its journal and its log in dir. Without
// --callback-url it makes no callbacks: every answer comes with the call.
func StartBank(ctx context.Context, binary, dir, address string, args ...string) (*Process, error) {
	args = append([]string{
		"mockbank", "--bank-listen", address, "--journal", filepath.Join(dir, "bank.jsonl"), "--log-format", "json", "--log-level", "warn",
	}, args...)
	env := ChildEnvironment("KIZO_BANK_TOKEN="+bankToken, "KIZO_BANK_CALLBACK_SECRET="+callbackSecret)
	bank, err := Spawn(binary, args, env, filepath.Join(dir, "bank.log"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return bank, bank.WaitAnswering(ctx, "http://"+address+"/healthz")
}

// Kizod is what a kizod needs to be started. Its ready file and its log are NAME.ready and
// NAME.log in Dir, and secrets.json there contains its secrets.
type Kizod struct {
	Binary, Dir, Name           string
	DatabaseURL, Redis, BankURL string // Redis is the path of a socket
}

// Start starts kizod on free ports. It does not wait until it is ready.
func (k Kizod) Start(args, env []string) (*Process, error) {
	common := []string{
		"serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--log-format", "json", "--bank-url", k.BankURL,
		"--secrets-file", filepath.Join(k.Dir, "secrets.json"), "--ready-file", k.ReadyFile(),
	}
	common = append(common, args...)
	env = append(ChildEnvironment("KIZO_DATABASE_URL="+k.DatabaseURL, "KIZO_REDIS_URL=redis-socket://"+k.Redis,
		"KIZO_BANK_TOKEN="+bankToken, "KIZO_BANK_CALLBACK_SECRET="+callbackSecret), env...)
	return Spawn(k.Binary, common, env, k.Log())
}

// ReadyFile is the file that kizod writes when it is ready.
func (k Kizod) ReadyFile() string { return filepath.Join(k.Dir, k.Name+".ready") }

// Log is the file that every kizod of this name appends its log to.
func (k Kizod) Log() string { return filepath.Join(k.Dir, k.Name+".log") }

// startKizod starts kizod with every role.
func (r *Rig) startKizod(ctx context.Context, args []string) (err error) {
	began := time.Now()
	k := Kizod{Binary: r.binary, Dir: r.dir, Name: "kizod", DatabaseURL: r.AppURL(), Redis: r.redis.Addr(), BankURL: r.bankURL}
	if r.kizod, err = k.Start(append([]string{"--pprof-listen", "127.0.0.1:0"}, args...), r.config.Env); err != nil {
		return err
	}
	r.args = args
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if r.ready, err = r.kizod.WaitReady(ctx, k.ReadyFile()); err != nil {
		return err
	}
	r.note("kizod is ready after %d ms", time.Since(began).Milliseconds())
	return nil
}

// Restart drains kizod and starts it again with these arguments after the rig's own.
// Its URLs change.
func (r *Rig) Restart(ctx context.Context, args ...string) error {
	r.kizod.End(stopTimeout)
	return r.startKizod(ctx, args)
}

// URL is the base URL of the API.
func (r *Rig) URL() string { return r.ready.URL }

// PprofURL is the base URL of kizod's profiles.
func (r *Rig) PprofURL() string { return r.ready.PprofURL }

// KizodLog is the file that every kizod of this rig appends its log to.
func (r *Rig) KizodLog() string { return r.Path("kizod.log") }

// Alive returns an error with the end of the log if kizod or the bank has exited.
func (r *Rig) Alive() error {
	var err error
	for _, p := range []*Process{r.kizod, r.bank} {
		if p != nil && !p.Alive() {
			err = errors.Join(err, fmt.Errorf("%s exited: %w\n%s", p.cmd.Args[1], p.Err(), Tail(p.output)))
		}
	}
	return err
}

// Audit recomputes every invariant of the rig's database and returns the number of
// checks that passed. A check that fails is an error.
func (r *Rig) Audit(ctx context.Context) (passed int, err error) { return Audit(ctx, r.pool) }

// Audit recomputes every invariant of a database. See [Rig.Audit].
func Audit(ctx context.Context, pool *pgxpool.Pool) (passed int, err error) {
	audit, err := ledger.Audit(ctx, pool)
	if err != nil {
		return 0, err
	}
	if !audit.OK() {
		var table strings.Builder
		if err := audit.WriteTable(&table); err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("the audit failed:\n%s", table.String())
	}
	return len(audit.Checks), nil
}
