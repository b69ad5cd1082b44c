package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// world is a kizod with its own data.
type world struct {
	dir, programs, url string
	daemon             *exec.Cmd
	ended              chan error
}

// newWorld starts kizod and waits until it serves.
func newWorld(ctx context.Context, programs string) (*world, error) {
	programs, err := filepath.Abs(programs)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kizo-screenshots-")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, programs: programs, ended: make(chan error, 1)}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // PostgreSQL may run as another user, who must pass through
		return nil, err
	}
	w.daemon = exec.Command(filepath.Join(programs, "kizod"), "dev", "--data", filepath.Join(dir, "data"), //nolint:noctx // ended in order by close
		"--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--ready-file", filepath.Join(dir, "ready"))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	w.daemon.Stdout, w.daemon.Stderr = log, log
	if err := w.daemon.Start(); err != nil {
		return nil, err
	}
	go func() { w.ended <- w.daemon.Wait() }()
	if err := w.ready(ctx); err != nil {
		text, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, text), w.close())
	}
	return w, nil
}

// ready looks for the file that kizod writes when it is ready.
func (w *world) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case err := <-w.ended:
			w.ended <- err
			return fmt.Errorf("kizod ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("kizod does not serve: %w", ctx.Err())
		}
		text, err := os.ReadFile(filepath.Join(w.dir, "ready"))
		if err != nil {
			continue
		}
		var said struct {
			URL string `json:"url"`
		}
		if err := json.Unmarshal(text, &said); err != nil {
			return err
		}
		w.url = said.URL
		return nil
	}
}

func (w *world) close() error {
	_ = w.daemon.Process.Signal(os.Interrupt)
	select {
	case <-w.ended: //nolint:errcheck // it was asked to end: how does not matter
	case <-time.After(30 * time.Second):
		_ = w.daemon.Process.Kill()
		<-w.ended //nolint:errcheck // nor does it here
	}
	return os.RemoveAll(w.dir)
}

// environment returns the environment of the user of kizo.
func (w *world) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "TZ=UTC", "LANG=C.UTF-8", "TERM=xterm-256color", "COLORTERM=truecolor", "KIZO_SERVER=" + w.url,
		"XDG_CONFIG_HOME=" + filepath.Join(w.dir, "config"), "XDG_STATE_HOME=" + filepath.Join(w.dir, "state")}
}

// fill lets kizo demo make the town, and returns when it is ready. Its users then go on with small
// payments until ctx ends. The user of its context becomes an operator, who sees the queues.
func (w *world) fill(ctx context.Context) (ended <-chan error, err error) {
	command := exec.CommandContext(ctx, filepath.Join(w.programs, "kizo"), "demo", "--live", "30m", "--json")
	command.Env, command.Stderr = w.environment(), os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	var town struct{ User string }
	if err := json.NewDecoder(out).Decode(&town); err != nil {
		return nil, errors.Join(err, command.Wait())
	}
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	grant := exec.CommandContext(ctx, filepath.Join(w.programs, "kizod"), "user", "grant", town.User, "operator", "--data", filepath.Join(w.dir, "data"))
	if out, err := grant.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("kizod user grant: %w\n%s", err, out)
	}
	return done, nil
}
