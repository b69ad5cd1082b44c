//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/JDevAman/kizo/internal/testkit"
)

// credentialHelper is a credential command that keeps secrets in $HELPER_DIR, one file for each
// key, which it does not replace as a whole. The file "mode" there says what is wrong with it. The
// file "log" has its actions.
func credentialHelper() {
	dir := os.Getenv("HELPER_DIR")
	mode, _ := os.ReadFile(filepath.Join(dir, "mode"))
	var request helperRequest
	if err := json.NewDecoder(os.Stdin).Decode(&request); err != nil {
		fmt.Fprintln(os.Stderr, "no request:", err)
		os.Exit(1)
	}
	action := os.Args[len(os.Args)-1]
	_ = appendTo(filepath.Join(dir, "log"), fmt.Appendln(nil, action, request.Key, request.Context, request.Server, os.Getenv("KIZO_TOKEN")))
	secret := filepath.Join(dir, strings.ReplaceAll(request.Key, "/", "_"))
	before, _ := os.ReadFile(secret)
	switch mode := strings.TrimSpace(string(mode)); {
	case mode == "hang":
		select {}
	case mode == "garbage":
		fmt.Println("kizo_secret: not JSON")
		return
	case mode == "huge":
		fmt.Println(strings.Repeat("x", 1<<20))
		return
	case mode == "snapshot":
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range lines {
			text, _ := os.ReadFile(path)
			_ = appendTo(filepath.Join(dir, "snapshot"), append(text, '\n'))
		}
	case mode == "locked "+action:
		fmt.Fprintln(os.Stderr, "the vault is\x1b[2J locked")
		os.Exit(2)
	case mode == "leak" && action == "store":
		fmt.Fprintln(os.Stderr, "cannot store", request.Secret)
		os.Exit(2)
	case mode == "kill" && action == "store" && request.Secret != string(before):
		_ = syscall.Kill(os.Getppid(), syscall.SIGKILL)
		os.Exit(1)
	}
	switch action {
	case "get":
		_ = json.NewEncoder(os.Stdout).Encode(helperAnswer{string(before)})
	case "store":
		if err := os.WriteFile(secret, []byte(request.Secret), 0o600); err != nil {
			os.Exit(1)
		}
	case "erase":
		_ = os.Remove(secret)
	}
}

func appendTo(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(text)
	return err
}

// vaulted runs kizo processes whose sessions are in a vault.
type vaulted struct {
	t      *testing.T
	server *rotator
	home   string
	env    []string
}

func (v *vaulted) command(stdin string, args ...string) *exec.Cmd {
	command := exec.CommandContext(v.t.Context(), "kizo", append(args, "--server", v.server.URL)...)
	command.Env = append(os.Environ(), v.env...)
	command.Env = append(command.Env, "HOME="+v.home, "XDG_STATE_HOME="+filepath.Join(v.home, "state"), "XDG_CONFIG_HOME="+filepath.Join(v.home, "config"),
		"KIZO_TOKEN=", "KIZO_API_KEY=")
	command.Stdin = strings.NewReader(stdin)
	return command
}

func (v *vaulted) run(want int, args ...string) string {
	v.t.Helper()
	command := v.command("correct horse battery\n", args...)
	out, _ := command.CombinedOutput()
	if got := command.ProcessState.ExitCode(); got != want {
		v.t.Fatalf("kizo %q ended with %d, want %d: %s", args, got, want, out)
	}
	return string(out)
}

// noTokenInFiles fails if a file below the home directory has a token.
func (v *vaulted) noTokenInFiles() {
	v.t.Helper()
	files := 0
	err := filepath.WalkDir(v.home, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "refresh-") || strings.Contains(string(text), "access-") {
			v.t.Errorf("%s has a token: %s", path, text)
		}
		return err
	})
	testkit.Must(v.t, err)
	if files == 0 {
		v.t.Error("there are no files at all")
	}
}

func withHelper(t *testing.T) (v *vaulted, dir string) {
	t.Helper()
	v, dir = &vaulted{t: t, server: newRotator(t), home: t.TempDir()}, t.TempDir()
	v.env = []string{"KIZO_CREDENTIAL_STORE=command", "KIZO_CREDENTIAL_COMMAND=credential-helper --vault", "HELPER_DIR=" + dir}
	return v, dir
}

func setMode(t *testing.T, dir, mode string) {
	t.Helper()
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "mode"), []byte(mode), 0o600))
}

func TestSessionsOfACredentialCommand(t *testing.T) {
	v, dir := withHelper(t)
	v.run(exitNotLoggedIn, "wallet", "list")
	v.run(exitDone, "login", "ada", "--password-stdin")
	v.noTokenInFiles()
	v.run(exitDone, "wallet", "list")
	v.run(exitDone, "logout")
	v.run(exitNotLoggedIn, "wallet", "list")
	if left, _ := filepath.Glob(filepath.Join(dir, "kizo_*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	testkit.Must(t, err)
	testkit.Contains(t, string(log), "get kizo/default/127.0.0.1_", "store kizo/default/127.0.0.1_", "erase kizo/default/127.0.0.1_", " default "+v.server.URL+" \n")
}

// TestACommandReadsTheVaultOnce: each request of a command needs the token.
func TestACommandReadsTheVaultOnce(t *testing.T) {
	v, dir := withHelper(t)
	v.run(exitDone, "login", "ada", "--password-stdin")
	testkit.Must(t, os.Remove(filepath.Join(dir, "log")))
	_ = v.command("", "deposit", "5", "--currency", "USD").Run() // it needs the user and two tokens; this server has no deposits
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	testkit.Must(t, err)
	if got := strings.Count(string(log), "get "); got != 1 {
		t.Errorf("read %d times", got)
	}
}

// TestALockedVaultLosesNoToken: a vault that cannot be written is noticed before the refresh token
// is used, and the same session continues when it can.
func TestALockedVaultLosesNoToken(t *testing.T) {
	v, dir := withHelper(t)
	setMode(t, dir, "locked store")
	if out := v.run(exitFailure, "login", "ada", "--password-stdin"); !strings.Contains(out, `store failed: exit status 2: the vault is\u{1b}[2J locked`) {
		t.Errorf("not said: %q", out)
	}
	setMode(t, dir, "")
	v.server.life = 1 // each command refreshes
	v.run(exitDone, "login", "ada", "--password-stdin")
	before := v.server.traded()
	for _, mode := range []string{"locked store", "locked get", "garbage", "huge", "leak"} {
		setMode(t, dir, mode)
		out := v.run(exitFailure, "wallet", "list")
		testkit.Contains(t, out, "credential-helper", "try: kizo login --credential-store file")
		if strings.Contains(out, "refresh-") || strings.Contains(out, "kizo_secret") {
			t.Errorf("%s: the output has a secret: %s", mode, out)
		}
	}
	if v.server.traded() != before {
		t.Fatal("a refresh token was used, and the next one could not be stored")
	}
	setMode(t, dir, "")
	v.run(exitDone, "wallet", "list")
	v.noTokenInFiles()
}

// TestAVaultThatHangsIsGivenUp: by Ctrl-C, and after the timeout.
func TestAVaultThatHangsIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HELPER_DIR", dir)
	setMode(t, dir, "hang")
	hangs := &commandVault{command: []string{"credential-helper"}, timeout: time.Millisecond}
	if _, err := hangs.read(t.Context()); exitCode(err) != exitFailure || !strings.Contains(err.Error(), "no answer in 1ms") {
		t.Errorf("%v", err)
	}
	hangs.timeout = time.Hour
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hangs.read(interrupted); exitCode(err) != exitInterrupted {
		t.Errorf("%v", err)
	}
}

// TestACrashBeforeTheNewTokensAreStored: the refresh token was used, and its answer is lost. The
// next command says to log in again, and the lock is free.
func TestACrashBeforeTheNewTokensAreStored(t *testing.T) {
	v, dir := withHelper(t)
	v.server.life = 1
	v.run(exitDone, "login", "ada", "--password-stdin")
	setMode(t, dir, "kill")
	before := v.server.traded()
	v.run(-1, "wallet", "list")
	if v.server.traded() != before+1 {
		t.Fatalf("killed after %d refreshes", v.server.traded()-before)
	}
	setMode(t, dir, "")
	testkit.Contains(t, v.run(exitNotLoggedIn, "wallet", "list"), "try: kizo login ada")
	v.run(exitNotLoggedIn, "wallet", "list")
	if v.server.traded() != before+2 {
		t.Errorf("a refresh token that ended the session was sent again")
	}
	v.run(exitDone, "login", "ada", "--password-stdin")
	v.run(exitDone, "wallet", "list")
}

// refreshAtOnce starts processes that find at the same time that their token has expired.
func (v *vaulted) refreshAtOnce(processes int) {
	v.t.Helper()
	v.server.mu.Lock()
	v.server.life = 1
	v.server.mu.Unlock()
	v.run(exitDone, "login", "ada", "--password-stdin")
	v.server.mu.Lock() // the first of them waits here for its tokens, and the others for its lock
	v.server.life = 900
	before := v.server.trades
	v.server.mu.Unlock()
	var group sync.WaitGroup
	for range processes {
		command := v.command("", "wallet", "list")
		group.Go(func() {
			if out, err := command.CombinedOutput(); err != nil {
				v.t.Errorf("%v: %s", err, out)
			}
		})
	}
	group.Wait()
	if got := v.server.traded() - before; got != 1 {
		v.t.Errorf("%d refreshes", got)
	}
}

func TestProcessesOfAVaultRefreshOnce(t *testing.T) {
	v, _ := withHelper(t)
	v.refreshAtOnce(8)
}

// TestNoKeyringIsAnError: without a message bus kizo neither starts one nor writes a file.
func TestNoKeyringIsAnError(t *testing.T) {
	v := &vaulted{t: t, server: newRotator(t), home: t.TempDir(), env: []string{"KIZO_CREDENTIAL_STORE=keyring", "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent/bus"}}
	before := v.server.traded()
	testkit.Contains(t, v.run(exitFailure, "login", "ada", "--password-stdin"), "the system keyring cannot be used", "--credential-store file")
	testkit.Contains(t, v.run(exitFailure, "login", "ada", "--password-stdin", "--json"), `"code":"credential_store"`)
	if v.server.traded() != before {
		t.Error("tokens were requested that could not be stored")
	}
	v.run(exitDone, "login", "ada", "--password-stdin", "--credential-store", "file")
}

// messageBus is a D-Bus session bus with the keyring of GNOME, which has a password and is
// unlocked.
type messageBus struct {
	address string
	keyring *exec.Cmd
}

// busConfig has no directory of services: the system's own has a keyring, which the bus would start
// as a second one, and which would be locked if it is the first to have the name.
const busConfig = `<busconfig>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>`

func startKeyring(t *testing.T) *messageBus {
	t.Helper()
	for _, name := range []string{"dbus-daemon", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("the Secret Service cannot be started here: %v", err)
		}
	}
	dir := t.TempDir()
	bus := &messageBus{}
	config := filepath.Join(dir, "bus.conf")
	testkit.Must(t, os.WriteFile(config, []byte(busConfig), 0o600))
	daemon := exec.CommandContext(t.Context(), "dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile", "--print-address=1")
	out, err := daemon.StdoutPipe()
	testkit.Must(t, err)
	start(t, daemon, "")
	line, err := bufio.NewReader(out).ReadString('\n')
	testkit.Must(t, err)
	bus.address = strings.TrimSpace(line)
	bus.keyring = exec.CommandContext(t.Context(), "gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets", "--control-directory="+dir)
	bus.keyring.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS="+bus.address, "XDG_RUNTIME_DIR="+dir, "HOME="+dir, "XDG_DATA_HOME="+dir)
	start(t, bus.keyring, "keyring password")
	bus.waitForService(t)
	return bus
}

// start starts a process that is stopped at the end.
func start(t *testing.T, command *exec.Cmd, stdin string) {
	t.Helper()
	command.Stdin = strings.NewReader(stdin)
	testkit.Must(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGCONT)
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

// waitForService waits until the keyring has its name on the bus.
func (b *messageBus) waitForService(t *testing.T) {
	t.Helper()
	const name = "org.freedesktop.secrets"
	bus, err := dbus.Connect(b.address)
	testkit.Must(t, err)
	defer bus.Close()
	changes := make(chan *dbus.Signal, 16)
	bus.Signal(changes)
	testkit.Must(t, bus.AddMatchSignal(dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, name)))
	var owned bool
	testkit.Must(t, bus.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, name).Store(&owned))
	for !owned {
		select {
		case change := <-changes: // the bus also says what name this connection has
			owned = change.Name == "org.freedesktop.DBus.NameOwnerChanged"
		case <-time.After(time.Minute):
			t.Fatal("the keyring has no name on the bus after a minute")
		}
	}
}

// TestSessionsInTheKeyring uses a real Secret Service on a real D-Bus.
func TestSessionsInTheKeyring(t *testing.T) {
	bus := startKeyring(t)
	v := &vaulted{t: t, server: newRotator(t), home: t.TempDir()}
	v.env = []string{"KIZO_CREDENTIAL_STORE=keyring", "DBUS_SESSION_BUS_ADDRESS=" + bus.address}
	v.run(exitNotLoggedIn, "wallet", "list")
	v.run(exitDone, "login", "ada", "--password-stdin")
	v.noTokenInFiles()
	v.run(exitDone, "wallet", "list")
	v.refreshAtOnce(4)
	v.noTokenInFiles()

	// A context has an item of its own.
	v.run(exitDone, "context", "add", "work")
	if out, _ := v.command("", "wallet", "list", "--context", "work").CombinedOutput(); !strings.Contains(string(out), "not logged in") {
		t.Errorf("the context work has the session of the default one: %s", out)
	}

	// A keyring that does not answer is given up, before the refresh token is used.
	v.server.mu.Lock()
	v.server.life = 1
	v.server.mu.Unlock()
	v.run(exitDone, "login", "ada", "--password-stdin")
	before := v.server.traded()
	testkit.Must(t, bus.keyring.Process.Signal(syscall.SIGSTOP))
	testkit.Contains(t, v.run(exitFailure, "wallet", "list"), "no answer in 3s: is it locked?")
	testkit.Must(t, bus.keyring.Process.Signal(syscall.SIGCONT))
	if v.server.traded() != before {
		t.Fatal("a refresh token was used, and the next one could not be stored")
	}
	v.run(exitDone, "wallet", "list")
	v.run(exitDone, "logout")
	v.run(exitNotLoggedIn, "wallet", "list")
	if !slices.ContainsFunc(v.env, func(entry string) bool { return entry == "KIZO_CREDENTIAL_STORE=keyring" }) {
		t.Error("this was not about the keyring")
	}
}

// TestSessionsInPass runs the program of the documentation with the real pass and GnuPG.
func TestSessionsInPass(t *testing.T) {
	for _, name := range []string{"pass", "gpg", "jq"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("pass cannot be used here: %v", err)
		}
	}
	helper, err := filepath.Abs("../../docs/kizo-credential-pass")
	testkit.Must(t, err)
	keys, err := os.MkdirTemp("", "kizo-gpg-") // the path of a socket must be short
	testkit.Must(t, err)
	defer os.RemoveAll(keys)
	v := &vaulted{t: t, server: newRotator(t), home: t.TempDir()}
	v.env = []string{"GNUPGHOME=" + keys, "PASSWORD_STORE_DIR=" + filepath.Join(keys, "store"), "KIZO_CREDENTIAL_STORE=command", "KIZO_CREDENTIAL_COMMAND=" + helper}
	prepare := exec.CommandContext(t.Context(), "sh", "-e", "-c",
		"gpg --batch --quiet --passphrase '' --quick-generate-key kizo-test default default never; pass init kizo-test")
	prepare.Env = append(os.Environ(), v.env...)
	if out, err := prepare.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer func() {
		stop := exec.CommandContext(context.WithoutCancel(t.Context()), "gpgconf", "--kill", "all")
		stop.Env = prepare.Env
		_ = stop.Run()
	}()
	v.run(exitNotLoggedIn, "wallet", "list")
	v.run(exitDone, "login", "ada", "--password-stdin")
	v.noTokenInFiles()
	v.run(exitDone, "wallet", "list")
	v.refreshAtOnce(3)
	v.run(exitDone, "logout")
	v.run(exitNotLoggedIn, "wallet", "list")
}
