//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/JDevAman/kizo/internal/testkit"
)

// terminal runs kizo on a terminal of its own.
type terminal struct {
	t       *testing.T
	command *exec.Cmd
	file    *os.File
	shown   strings.Builder
}

func onTerminal(t *testing.T, w *world, args ...string) *terminal {
	t.Helper()
	command := exec.CommandContext(t.Context(), "kizo", args...)
	command.Env = os.Environ()
	for name, value := range w.env {
		command.Env = append(command.Env, name+"="+value)
	}
	file, err := pty.StartWithSize(command, &pty.Winsize{Rows: 24, Cols: 80})
	testkit.Must(t, err)
	t.Cleanup(func() { file.Close() })
	return &terminal{t: t, command: command, file: file}
}

// until reads the output until it contains a text.
func (x *terminal) until(text string) {
	x.t.Helper()
	for !strings.Contains(x.shown.String(), text) {
		if !x.read() {
			x.t.Fatalf("it ended without %q:\n%s", text, x.shown.String())
		}
	}
}

func (x *terminal) read() bool {
	part := make([]byte, 1024)
	n, err := x.file.Read(part)
	x.shown.Write(part[:n])
	return err == nil
}

func (x *terminal) types(keys string) {
	x.t.Helper()
	if _, err := x.file.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) exitCode() int {
	for x.read() {
	}
	_ = x.command.Wait()
	return x.command.ProcessState.ExitCode()
}

func TestAPasswordIsNeverShown(t *testing.T) {
	s := newFakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, adasTokens)
	})
	w := newWorld(t, s.Server)
	delete(w.env, "KIZO_TOKEN")
	x := onTerminal(t, w, "signup", "--email", "ada@example.com", "--handle", "ada", "--name", "Ada")
	x.until("Password: ")
	x.types("correct horse\n")
	x.until("Repeat password: ")
	x.types("correct horse\n")
	x.until("@ada")
	if code := x.exitCode(); code != exitDone || strings.Contains(x.shown.String(), "horse") {
		t.Errorf("exit code %d:\n%s", code, x.shown.String())
	}
	if want := `"password":"correct horse"`; len(s.seen) != 1 || !strings.Contains(s.seen[0], want) {
		t.Errorf("sent %v", s.seen)
	}
}

func TestAPastedPassword(t *testing.T) {
	s := newFakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, adasTokens)
	})
	w := newWorld(t, s.Server)
	delete(w.env, "KIZO_TOKEN")
	x := onTerminal(t, w, "signup", "--email", "ada@example.com", "--handle", "ada", "--name", "Ada")
	x.until("Password: ")
	x.types("correct horse\ncorrect horse\n") // both lines at once
	if code := x.exitCode(); code != exitDone || strings.Contains(x.shown.String(), "horse") {
		t.Errorf("exit code %d:\n%s", code, x.shown.String())
	}
}

func TestCtrlCAtThePasswordPrompt(t *testing.T) {
	s := newFakeServer(t)
	w := newWorld(t, s.Server)
	delete(w.env, "KIZO_TOKEN")
	x := onTerminal(t, w, "login", "ada")
	x.until("Password: ")
	x.types("\x03")
	if code := x.exitCode(); code != exitInterrupted {
		t.Errorf("exit code %d:\n%s", code, x.shown.String())
	}
}

func TestATableOnATerminal(t *testing.T) {
	w := newWorld(t, newFakeServer(t).Server)
	x := onTerminal(t, w, "wallet", "list")
	if code := x.exitCode(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	// 80 columns are too few for ids.
	want := "CURRENCY   BALANCE      HELD  AVAILABLE  STATUS\r\nUSD       1.00 USD  0.00 USD   1.00 USD  active\r\n"
	if x.shown.String() != want {
		t.Errorf("%s", x.shown.String())
	}
}
