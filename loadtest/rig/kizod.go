package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
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
	DatabaseURL, Redis, BankURL string // Redis is a URL, or the path of a socket
}

// Start starts kizod on free ports. It does not wait until it is ready.
func (k Kizod) Start(args, env []string) (*Process, error) {
	common := []string{
		"serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--log-format", "json", "--bank-url", k.BankURL,
		"--secrets-file", filepath.Join(k.Dir, "secrets.json"), "--ready-file", k.ReadyFile(),
	}
	common = append(common, args...)
	redis := k.Redis
	if !strings.Contains(redis, "://") {
		redis = "redis-socket://" + redis
	}
	env = append(ChildEnvironment("KIZO_DATABASE_URL="+k.DatabaseURL, "KIZO_REDIS_URL="+redis,
		"KIZO_BANK_TOKEN="+bankToken, "KIZO_BANK_CALLBACK_SECRET="+callbackSecret), env...)
	return Spawn(k.Binary, common, env, k.Log())
}

// ReadyFile is the file that kizod writes when it is ready.
func (k Kizod) ReadyFile() string { return filepath.Join(k.Dir, k.Name+".ready") }

// Log is the file that every kizod of this name appends its log to.
func (k Kizod) Log() string { return filepath.Join(k.Dir, k.Name+".log") }

// startKizod starts kizod with every role.
func (r *Rig) startKizod(ctx context.Context, args []string) (err error) {
	r.args = args
	r.kizod, r.ready, err = r.newKizod(ctx, "kizod", append([]string{"--pprof-listen", "127.0.0.1:0"}, args...))
	return err
}

func (r *Rig) newKizod(ctx context.Context, name string, args []string) (*Process, Ready, error) {
	began := time.Now()
	k := Kizod{Binary: r.binary, Dir: r.dir, Name: name, DatabaseURL: r.AppURL(), Redis: r.redis.Addr(), BankURL: r.bankURL}
	p, err := k.Start(args, r.config.Env)
	if err != nil {
		return nil, Ready{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ready, err := p.WaitReady(ctx, k.ReadyFile())
	if err == nil {
		r.note("%s is ready after %d ms", name, time.Since(began).Milliseconds())
	}
	return p, ready, err
}

// StartSecond starts another kizod on the same database, which serves the API and has no other
// role. It counts in the readings of [Rig.Gauge].
func (r *Rig) StartSecond(ctx context.Context, args ...string) (err error) {
	r.second, r.secondAt, err = r.newKizod(ctx, "second", append([]string{"--roles=api"}, args...))
	return err
}

// SecondURL is the base URL of the API of the second kizod.
func (r *Rig) SecondURL() string { return r.secondAt.URL }

// Placement is the CPUs that each part of a rig may run on, numbered from 0. Generator is this
// process.
type Placement struct{ Postgres, Kizod, Generator []int }

// Place moves the parts to these CPUs. It needs Linux.
func (r *Rig) Place(p Placement) error {
	err := pin(os.Getpid(), p.Generator) // first, because the others are descendants of this process
	return errors.Join(err, pin(r.postgres.Pid(), p.Postgres), pin(r.kizod.PID(), p.Kizod), pin(r.second.PID(), p.Kizod))
}

// Restart drains kizod and starts it again with these arguments after the rig's own.
// Its URLs change.
func (r *Rig) Restart(ctx context.Context, args ...string) error {
	r.kizod.End(stopTimeout)
	return r.startKizod(ctx, args)
}

// URL is the base URL of the API.
func (r *Rig) URL() string { return r.ready.URL }

// MetricsURL is the URL of kizod's metrics.
func (r *Rig) MetricsURL() string { return r.ready.OpsURL + "/metrics" }

// PprofURL is the base URL of kizod's profiles.
func (r *Rig) PprofURL() string { return r.ready.PprofURL }

// KizodLog is the file that every kizod of this rig appends its log to.
func (r *Rig) KizodLog() string { return r.Path("kizod.log") }

// Alive returns an error with the end of the log if a kizod or the bank has exited.
func (r *Rig) Alive() error {
	var err error
	for _, p := range []*Process{r.kizod, r.second, r.bank} {
		if p != nil && !p.Alive() {
			err = errors.Join(err, fmt.Errorf("%s exited: %w\n%s", p.cmd.Args[1], p.Err(), Tail(p.output)))
		}
	}
	return err
}

// Batches counts the batches that the ledgers of all kizods have committed, and their commands.
func (r *Rig) Batches(ctx context.Context) (batches, commands int64, err error) {
	for _, url := range []string{r.ready.OpsURL, r.secondAt.OpsURL} {
		if url == "" {
			continue
		}
		metrics, err := get(ctx, url+"/metrics")
		if err != nil {
			return 0, 0, fmt.Errorf("read the metrics of kizod: %w", err)
		}
		for line := range strings.Lines(metrics) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			n, _ := strconv.ParseFloat(value, 64)
			switch name {
			case "kizo_ledger_batch_commands_count":
				batches += int64(n)
			case "kizo_ledger_batch_commands_sum":
				commands += int64(n)
			}
		}
	}
	return batches, commands, nil
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
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
