package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// startKizod starts it with every role, on ports of its own.
func (r *Rig) startKizod(ctx context.Context, args []string) error {
	began := time.Now()
	own := []string{
		"serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--pprof-listen", "127.0.0.1:0", "--log-format", "json",
		"--bank-url", r.bankURL, "--secrets-file", r.Path("secrets.json"), "--ready-file", r.Path("kizod.ready"),
	}
	env := append(ChildEnvironment(
		"KIZO_DATABASE_URL="+r.AppURL(),
		"KIZO_REDIS_URL=redis-socket://"+r.redis.Addr(),
		"KIZO_BANK_TOKEN="+bankToken,
		"KIZO_BANK_CALLBACK_SECRET="+callbackSecret,
	), r.config.Env...)
	kizod, err := Spawn(r.binary, append(own, args...), env, r.KizodLog())
	if err != nil {
		return err
	}
	r.kizod, r.args = kizod, args
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if r.ready, err = kizod.WaitReady(ctx, r.Path("kizod.ready")); err != nil {
		return err
	}
	r.note("kizod is ready after %d ms", time.Since(began).Milliseconds())
	return nil
}

// Restart ends kizod in good order and starts it with these arguments after the
// rig's own. Its URLs change.
func (r *Rig) Restart(ctx context.Context, args ...string) error {
	r.kizod.End(endWithin)
	return r.startKizod(ctx, args)
}

// URL is the API's, OpsURL that of metrics and health, PprofURL that of profiles.
func (r *Rig) URL() string { return r.ready.URL }

// OpsURL: see [Rig.URL].
func (r *Rig) OpsURL() string { return r.ready.OpsURL }

// PprofURL: see [Rig.URL].
func (r *Rig) PprofURL() string { return r.ready.PprofURL }

// KizodPID is the process id of the kizod that runs now.
func (r *Rig) KizodPID() int { return r.kizod.PID() }

// KizodLog is the file that every kizod of this rig writes to.
func (r *Rig) KizodLog() string { return r.Path("kizod.log") }

// Alive is an error with the end of the log if kizod or the bank has ended.
func (r *Rig) Alive() error {
	var err error
	for _, p := range []*Process{r.kizod, r.bank} {
		if !p.Alive() {
			err = errors.Join(err, fmt.Errorf("%s ended by itself: %w\n%s", p.cmd.Args[1], p.Err(), Tail(p.output)))
		}
	}
	return err
}

// Audit runs `kizod audit` on the books, beside whatever goes on, and returns
// what it prints. The error says that the books are wrong, or cannot be read.
func (r *Rig) Audit(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, r.binary, "audit")
	cmd.Env = ChildEnvironment("KIZO_DATABASE_URL=" + r.AppURL())
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kizod audit: %w\n%s%s", err, trouble.String(), out.String())
	}
	return out.String(), nil
}
