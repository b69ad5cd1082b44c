package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// world is a kizod with its own data and its users.
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
	// With a bank that is slow now and then, the screens show more.
	w.daemon = exec.Command(filepath.Join(programs, "kizod"), "dev", "--data", filepath.Join(dir, "data"), //nolint:noctx // ended in order by close
		"--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--bank-preset", "classic", "--ready-file", filepath.Join(dir, "ready"))
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

// environment returns the environment of one user of this machine.
func (w *world) environment(who string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "TZ=UTC", "LANG=C.UTF-8", "TERM=xterm-256color", "COLORTERM=truecolor", "KIZO_SERVER=" + w.url, "KIZO_CURRENCY=USD",
		"XDG_CONFIG_HOME=" + filepath.Join(w.dir, who, "config"), "XDG_STATE_HOME=" + filepath.Join(w.dir, who, "state")}
}

// as runs kizo for a user.
func (w *world) as(ctx context.Context, who, stdin string, args ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(w.programs, "kizo"), args...)
	command.Env, command.Stdin = w.environment(who), strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: kizo %s: %w\n%s", who, strings.Join(args, " "), err, out)
	}
	return ctx.Err()
}

// signUpUsers signs the demo users up; ada may see the queues.
func (w *world) signUpUsers(ctx context.Context) error {
	for who, name := range map[string]string{"ada": "Ada Lovelace", "bob": "Bob Moore", "eve": "Eve Adams"} {
		if err := w.as(ctx, who, "a long enough password\n", "signup", "--email", who+"@example.com", "--handle", who, "--name", name, "--password-stdin"); err != nil {
			return err
		}
		if err := w.opening(ctx, who); err != nil {
			return err
		}
	}
	if err := w.as(ctx, "ada", "", "wallet", "open", "EUR"); err != nil {
		return err
	}
	grant := exec.CommandContext(ctx, filepath.Join(w.programs, "kizod"), "user", "grant", "ada", "operator", "--data", filepath.Join(w.dir, "data"))
	if out, err := grant.CombinedOutput(); err != nil {
		return fmt.Errorf("kizod user grant: %w\n%s", err, out)
	}
	return nil
}

// opening deposits the first money. The bank rejects one deposit in twenty; a further deposit is a
// new one.
func (w *world) opening(ctx context.Context, who string) (err error) {
	for range 10 {
		if err = w.as(ctx, who, "", "deposit", "250.00", "--wait=30s", "-m", "opening"); !ended(err, 3) {
			return err
		}
	}
	return err
}

// movements is the maximum number of transfers, pace the minimum time between two.
const (
	movements = 2000
	pace      = 120 * time.Millisecond
)

// traffic moves money between the demo users and the bank until it is asked to stop.
func (w *world) traffic(ctx context.Context) error {
	turns := []struct {
		who  string
		args []string
	}{
		{"bob", []string{"transfer", "@ada", "12.50", "-m", "lunch"}},
		{"ada", []string{"transfer", "@eve", "8.00", "-m", "tickets"}},
		{"eve", []string{"deposit", "20.00", "--wait=0s"}},
		{"ada", []string{"withdraw", "3.00", "--wait=0s"}},
		{"bob", []string{"deposit", "15.00", "--wait=0s"}},
		{"eve", []string{"transfer", "@ada", "4.20", "-m", "coffee ☕ and cake"}},
	}
	next := time.NewTicker(pace)
	defer next.Stop()
	for i := range movements {
		select {
		case <-next.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		turn := turns[i%len(turns)]
		// A pending transfer has its own exit code, and a user without money is refused: neither
		// is an error here.
		if err := w.as(ctx, turn.who, "", turn.args...); err != nil && !ended(err, 3, 8) {
			return err
		}
	}
	return nil
}

func ended(err error, codes ...int) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	for _, code := range codes {
		if exit.ExitCode() == code {
			return true
		}
	}
	return false
}
