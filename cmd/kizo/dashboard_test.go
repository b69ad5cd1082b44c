//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/tui/emulator"
)

// window runs kizo on a terminal whose screen can be read.
type window struct {
	t       *testing.T
	command *exec.Cmd
	file    *os.File
	screen  *emulator.Screen
	drawn   chan struct{} // receives after each write to the screen
	ended   chan struct{} // closed when the program has closed the terminal
	frames  atomic.Int64  // each begins with a move of the cursor to the upper left corner
}

func openWindow(t *testing.T, width, height int, env []string, args ...string) *window {
	t.Helper()
	w := &window{t: t, command: exec.Command("kizo", args...), screen: emulator.New(width, height),
		drawn: make(chan struct{}, 1), ended: make(chan struct{})}
	w.command.Env = append(append(os.Environ(), "TERM=xterm-256color", "LANG=C.UTF-8", "CI="), env...)
	var err error
	if w.file, err = pty.StartWithSize(w.command, &pty.Winsize{Rows: uint16(height), Cols: uint16(width)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.command.Process.Kill()
		w.file.Close()
		<-w.ended
		_ = w.command.Wait()
	})
	go func() {
		defer close(w.ended)
		part := make([]byte, 32<<10)
		for {
			n, err := w.file.Read(part)
			w.frames.Add(int64(bytes.Count(part[:n], []byte("\x1b[H"))))
			_, _ = w.screen.Write(part[:n])
			select {
			case w.drawn <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return w
}

// until waits until the screen shows all of the texts.
func (w *window) until(texts ...string) {
	w.t.Helper()
	patterns := make([]string, len(texts))
	for i, text := range texts {
		patterns[i] = regexp.QuoteMeta(text)
	}
	w.untilMatch(patterns...)
}

// untilMatch waits until the screen matches all of the patterns.
func (w *window) untilMatch(patterns ...string) {
	w.t.Helper()
	timeout := time.After(time.Minute)
	for {
		shown, missing := w.screen.Text(), ""
		for _, pattern := range patterns {
			if !regexp.MustCompile(pattern).MatchString(shown) {
				missing = pattern
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-w.drawn:
		case <-w.ended:
			w.t.Fatalf("it ended without %q:\n%s", missing, w.screen.Text())
		case <-timeout:
			w.t.Fatalf("%q is not shown within a minute:\n%s", missing, w.screen.Text())
		}
	}
}

func (w *window) types(keys string) {
	w.t.Helper()
	if _, err := w.file.WriteString(keys); err != nil {
		w.t.Fatal(err)
	}
}

// exitCode waits until the program has ended.
func (w *window) exitCode() int {
	w.t.Helper()
	<-w.ended
	var failed *exec.ExitError
	if err := w.command.Wait(); err != nil && !errors.As(err, &failed) {
		w.t.Fatal(err)
	}
	return w.command.ProcessState.ExitCode()
}

// person is a user with a state directory of their own.
type person struct {
	t      *testing.T
	handle string
	dir    string
	env    []string
}

// state returns the state directory.
func (p *person) state() string { return filepath.Join(p.dir, "state") }

// newPerson signs a user up with a unique handle.
func newPerson(t *testing.T, server, name string) *person {
	t.Helper()
	handle := fmt.Sprintf("u%d%s", scriptsSoFar.Add(1), name)
	dir := t.TempDir()
	p := &person{t: t, handle: handle, dir: dir, env: []string{"KIZO_SERVER=" + server, "XDG_STATE_HOME=" + filepath.Join(dir, "state"), "XDG_CONFIG_HOME=" + filepath.Join(dir, "config"), "HOME=" + dir}}
	p.kizoWith("correct horse battery\n", "signup", "--email", handle+"@example.com", "--handle", handle, "--name", handle, "--password-stdin")
	return p
}

func (p *person) kizo(args ...string) string { return p.kizoWith("", args...) }

func (p *person) kizoWith(stdin string, args ...string) string {
	p.t.Helper()
	command := exec.CommandContext(p.t.Context(), "kizo", args...)
	command.Env, command.Stdin = append(os.Environ(), p.env...), strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	if err != nil {
		p.t.Fatalf("kizo %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// data runs kizo and returns its standard output, without what it reports on the way.
func (p *person) data(args ...string) string {
	p.t.Helper()
	command := exec.CommandContext(p.t.Context(), "kizo", args...)
	command.Env = append(os.Environ(), p.env...)
	var reports strings.Builder
	command.Stderr = &reports
	out, err := command.Output()
	if err != nil {
		p.t.Fatalf("kizo %v: %v\n%s%s", args, err, out, reports.String())
	}
	return string(out)
}

// TestTheDashboard runs kizo against kizod and presses keys.
func TestTheDashboard(t *testing.T) {
	kizod, err := startKizod()
	testkit.Must(t, err)
	ada, bob := newPerson(t, kizod.URL, "ada"), newPerson(t, kizod.URL, "bob")
	bob.kizo("deposit", "500", "--wait=30s")
	grant := exec.Command(filepath.Join(kizod.dir, "kizod"), "user", "grant", ada.handle, "operator", "--data", filepath.Join(kizod.dir, "data"))
	if out, err := grant.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	w := openWindow(t, 120, 40, ada.env, "dashboard")
	w.until("● LIVE", "@"+ada.handle, "No transfers yet")
	bob.kizo("transfer", "@"+ada.handle, "12.50", "-m", "lunch") // no key is pressed
	w.until("+12.50", "@"+bob.handle, "lunch", "✓ posted")

	w.types("4")
	w.until("[4 Queues]", "▶ running", "[pending 0]", "No tasks are pending.")
	w.types("px\ry") // pause, the reason, confirm
	w.until("⏸ paused", "Paused: bank")
	w.types("p")
	w.until("Resume this queue?")
	w.types("because\r\r") // Cancel has the focus
	w.until("[pending 0]", "⏸ paused")
	w.types("pbecause\ry")
	w.until("▶ running", "Resumed: bank")

	w.types("5")
	w.until("[5 Health]", "✓ answers", "closed: payments go to the bank")
	w.types(":")
	w.until("Command palette")
	w.types("wallet screen\r")
	w.until("[1 Wallet]", "12.50")
	w.types("?")
	w.until("Keys", "next wallet")
	w.types("ctrl-z")
	w.until("suspend")
	w.types("\x1b")
	w.until("[1 Wallet]", "+12.50")
	if unknown := w.screen.Unknown(); len(unknown) > 0 {
		t.Errorf("it wrote %q, which the emulator does not know", unknown)
	}
	w.types("q")
	if code := w.exitCode(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
