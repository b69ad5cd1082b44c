package rig

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/ledger"
)

// startKizod starts kizod with every role, on free ports.
func (r *Rig) startKizod(ctx context.Context, args []string) error {
	began := time.Now()
	common := []string{
		"serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--pprof-listen", "127.0.0.1:0", "--log-format", "json",
		"--bank-url", r.bankURL, "--secrets-file", r.Path("secrets.json"), "--ready-file", r.Path("kizod.ready"),
	}
	env := append(ChildEnvironment(
		"KIZO_DATABASE_URL="+r.AppURL(),
		"KIZO_REDIS_URL=redis-socket://"+r.redis.Addr(),
		"KIZO_BANK_TOKEN="+bankToken,
		"KIZO_BANK_CALLBACK_SECRET="+callbackSecret,
	), r.config.Env...)
	kizod, err := Spawn(r.binary, append(common, args...), env, r.KizodLog())
	if err != nil {
		return err
	}
	r.kizod, r.args = kizod, args
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if r.ready, err = kizod.WaitReady(ctx, r.Path("kizod.ready")); err != nil {
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
