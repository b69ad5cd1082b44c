//go:build unix

package main

import (
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// unknownUser is a user id without an entry in the password database, as containers often use.
const unknownUser = 54321

// TestUserWithoutHome runs kizo as a user without a home directory. It names the variable to set,
// and writes nothing, because there is no directory for tokens and intents.
func TestUserWithoutHome(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	if _, err := user.LookupId("54321"); err == nil {
		t.Skip("user 54321 exists here")
	}
	server := newFakeServer(t, answerCode(500, client.Internal))
	dir := openDir(t)
	work := filepath.Join(dir, "work")
	testkit.Must(t, os.Mkdir(work, 0o700))
	if err := os.Chown(work, unknownUser, unknownUser); err != nil {
		t.Fatal(err)
	}
	kizo := func(env []string, args ...string) (string, int) {
		t.Helper()
		command := exec.CommandContext(t.Context(), filepath.Join(dir, "kizo"), args...)
		command.Dir = work
		command.Env = append([]string{"KIZO_SERVER=" + server.URL}, env...)
		command.Stdin = strings.NewReader("correct horse battery\n")
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unknownUser, Gid: unknownUser}}
		out, _ := command.CombinedOutput()
		return string(out), command.ProcessState.ExitCode()
	}
	for _, env := range [][]string{nil, {"HOME="}, {"HOME=."}, {"HOME=", "XDG_STATE_HOME=state"}} {
		for _, args := range [][]string{{"login", "ada", "--password-stdin"}, {"balance"}, {"pending"}, {"retry"}, {"logout"}} {
			out, code := kizo(env, args...)
			if code != exitUsage || !strings.Contains(out, "XDG_STATE_HOME") {
				t.Errorf("%v kizo %s: exit code %d, %s", env, args[0], code, out)
			}
		}
		// With a token, reading stores nothing, but moving money must store the intent.
		if out, code := kizo(append(env, "KIZO_TOKEN=token"), "balance"); code != exitDone {
			t.Errorf("%v a balance with a token: exit code %d, %s", env, code, out)
		}
		if out, code := kizo(append(env, "KIZO_TOKEN=token"), "transfer", "@bob", "1", "USD"); code != exitUsage || !strings.Contains(out, "XDG_STATE_HOME") {
			t.Errorf("%v a transfer with a token: exit code %d, %s", env, code, out)
		}
	}
	err := filepath.WalkDir(work, func(path string, _ fs.DirEntry, err error) error {
		if path != work {
			t.Errorf("%s was written", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if out, code := kizo([]string{"XDG_STATE_HOME=" + work + "/state"}, "pending"); code != exitDone {
		t.Errorf("with XDG_STATE_HOME: exit code %d, %s", code, out)
	}
}

// openDir returns a directory with the program kizo that every user can enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kizo-open-")
	testkit.Must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	testkit.Must(t, os.Chmod(dir, 0o755))
	path, err := exec.LookPath("kizo")
	testkit.Must(t, err)
	program, err := os.ReadFile(path)
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "kizo"), program, 0o755))
	return dir
}
