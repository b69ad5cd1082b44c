//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
)

// canaries are secrets, in every form that could be printed, with what they are.
type canaries struct {
	t     *testing.T
	known map[string]string
	seen  map[string][]byte // what could have one, by the place where it was found
}

func (c *canaries) add(what, secret string) {
	c.t.Helper()
	if len(secret) < 16 {
		c.t.Fatalf("the %s is too short to be searched for: %q", what, secret)
	}
	c.known[secret] = what
	c.known[base64.StdEncoding.EncodeToString([]byte(secret))] = what + " in base64"
	c.known[hex.EncodeToString([]byte(secret))] = what + " in hexadecimal"
}

// addBytes adds a secret that a file has in base64.
func (c *canaries) addBytes(what, encoded string) {
	c.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(encoded)
	testkit.Must(c.t, err)
	c.add(what, string(raw))
}

// saw keeps a text that others could read. It is searched at the end, when all secrets are known.
func (c *canaries) saw(where string, text []byte) {
	c.seen[where] = append(c.seen[where], text...)
}

func (c *canaries) search() {
	c.t.Helper()
	for where, text := range c.seen {
		c.in(where, text)
	}
}

// in fails if a text has one of the secrets.
func (c *canaries) in(where string, text []byte) {
	c.t.Helper()
	for secret, what := range c.known {
		if bytes.Contains(text, []byte(secret)) {
			c.t.Errorf("%s has the %s", where, what)
		}
	}
}

// inFiles fails if a file below a directory has a secret, unless it is one of those that keep it,
// which only their owner may read.
func (c *canaries) inFiles(dir string, keep ...string) {
	c.t.Helper()
	searched := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || entry.Name() == "kizod" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // PostgreSQL removes files meanwhile
		}
		searched++
		for _, name := range keep {
			if info, err := entry.Info(); err == nil && strings.Contains(path, name) {
				if info.Mode().Perm()&0o077 != 0 {
					c.t.Errorf("others can read %s: %v", path, info.Mode())
				}
				return nil
			}
		}
		c.in(path, text)
		return nil
	})
	testkit.Must(c.t, err)
	if searched == 0 {
		c.t.Errorf("%s has no files", dir)
	}
}

// sawProcesses keeps the command lines of all running processes.
func (c *canaries) sawProcesses() {
	c.t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	testkit.Must(c.t, err)
	for _, path := range lines {
		if text, err := os.ReadFile(path); err == nil {
			c.saw("the command line of "+strings.ReplaceAll(string(text), "\x00", " "), text)
		}
	}
}

// TestNoSecretLeaves searches for the secrets of a user and of kizod in all places that others
// could read: command lines, files, messages, results, logs, and the dumps of processes that crash.
func TestNoSecretLeaves(t *testing.T) {
	t.Setenv("KIZO_LOG_LEVEL", "debug") // of kizod
	kizod, binary := ownKizod(t)
	home, vault := t.TempDir(), t.TempDir()
	env := append(os.Environ(), "HOME="+home, "XDG_STATE_HOME="+filepath.Join(home, "state"), "XDG_CONFIG_HOME="+filepath.Join(home, "config"),
		"KIZO_SERVER="+kizod.URL, "HELPER_DIR="+vault, "GOTRACEBACK=system")
	c := &canaries{t, map[string]string{}, map[string][]byte{}}
	const password = "canary of a password 0123456789"
	c.add("password", password)
	c.addSecretsOf(kizod)

	command := func(args ...string) *exec.Cmd {
		command := exec.CommandContext(t.Context(), "kizo", args...)
		command.Env, command.Stdin, command.Dir = env, strings.NewReader(password+"\n"), home
		return command
	}
	run := func(args ...string) []byte {
		t.Helper()
		var messages bytes.Buffer
		command := command(args...)
		command.Stderr = &messages
		out, err := command.Output()
		if err != nil {
			t.Fatalf("kizo %q: %v: %s%s", args, err, out, &messages)
		}
		c.saw("stderr of kizo "+strings.Join(args, " "), messages.Bytes())
		if strings.Join(args[:min(2, len(args))], " ") != "keys create" { // which prints a new key
			c.saw("stdout of kizo "+strings.Join(args, " "), out)
		}
		return out
	}
	run("signup", "--email", "ada@example.com", "--handle", "ada", "--name", "Ada", "--password-stdin", "--verbose")
	c.addTokens(home)
	c.expireTokens(home)
	run("deposit", "5", "--wait=30s", "--verbose") // with new tokens
	c.addTokens(home)
	var key struct{ Secret string }
	testkit.Must(t, json.Unmarshal(run("keys", "create", "--name", "canary", "--scope", "read,transfers:write", "--password-stdin", "--json"), &key))
	c.add("API key", key.Secret)

	for _, args := range [][]string{
		{"whoami"}, {"auth", "status"}, {"config", "list"}, {"context", "list"}, {"sessions", "list"}, {"sessions", "history"},
		{"keys", "list"}, {"doctor"}, {"transfers", "list"}, {"pending"}, {"dashboard", "--once"},
	} {
		run(append(args, "--json")...)
		run(append(args, "--verbose")...)
	}
	run("export", "--format", "jsonl")
	run("api", "GET", "/v1/auth/keys")
	run("commands")
	env = append(env, "KIZO_API_KEY="+key.Secret)
	run("auth", "status", "--json")
	run("doctor")
	run("config", "list", "--show-origin")
	env = env[:len(env)-1]

	// A child of kizo: the credential command looks at all processes while kizo waits for it.
	env = append(env, "KIZO_CREDENTIAL_STORE=command", "KIZO_CREDENTIAL_COMMAND=credential-helper")
	testkit.Must(t, os.WriteFile(filepath.Join(vault, "mode"), []byte("snapshot"), 0o600))
	run("login", "ada", "--password-stdin")
	run("whoami")
	env = env[:len(env)-2]
	snapshot, err := os.ReadFile(filepath.Join(vault, "snapshot"))
	testkit.Must(t, err)
	testkit.Contains(t, string(snapshot), "credential-helper\x00store", "credential-helper\x00get", "login\x00ada")
	c.saw("a command line", snapshot)
	secrets, err := filepath.Glob(filepath.Join(vault, "kizo_*"))
	testkit.Must(t, err)
	for _, path := range secrets {
		c.addTokensOf(path)
	}

	// Crashes: a kizo that reads events with a session, and one with a key; then kizod.
	c.crash(t, command("events", "--since", "1h", "--json"))
	env = append(env, "KIZO_API_KEY="+key.Secret)
	c.crash(t, command("events", "--since", "1h", "--json"))
	env = env[:len(env)-1]
	c.sawProcesses()
	testkit.Must(t, kizod.command.Process.Signal(syscall.SIGQUIT))
	<-kizod.ended
	log, err := os.ReadFile(kizod.log())
	testkit.Must(t, err)
	testkit.Contains(t, string(log), "SIGQUIT: quit", "goroutine ", `"level":"DEBUG"`)
	c.saw("the log of kizod", log)

	c.search()
	c.inFiles(home, "/kizo/sessions/127.0.0.1")
	c.inFiles(kizod.dir, "/secrets/secrets.json")
	testkit.Must(t, kizod.start(binary)) // it ends what the crash has left running
}

// addSecretsOf adds the secrets of kizod itself.
func (c *canaries) addSecretsOf(kizod *kizodProcess) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(kizod.dir, "data", "secrets", "secrets.json"))
	testkit.Must(c.t, err)
	var file struct {
		SigningKeys []string `json:"signing_keys"`
		Peppers     []struct{ Key string }
		BankToken   string `json:"bank_token"`
		Callback    string `json:"bank_callback_secret"`
	}
	testkit.Must(c.t, json.Unmarshal(text, &file))
	c.addBytes("signing key", file.SigningKeys[0])
	c.addBytes("pepper", file.Peppers[0].Key)
	c.addBytes("token of the bank", file.BankToken)
	c.addBytes("secret of the callbacks", file.Callback)
}

// sessionOf returns the path of the only session file below a home directory.
func (c *canaries) sessionOf(home string) string {
	c.t.Helper()
	paths, err := filepath.Glob(filepath.Join(home, "state", "kizo", "sessions", "*.json"))
	if err != nil || len(paths) != 1 {
		c.t.Fatalf("sessions: %v, %v", paths, err)
	}
	return paths[0]
}

func (c *canaries) addTokens(home string) { c.t.Helper(); c.addTokensOf(c.sessionOf(home)) }

func (c *canaries) addTokensOf(path string) {
	c.t.Helper()
	text, err := os.ReadFile(path)
	testkit.Must(c.t, err)
	var session storedSession
	testkit.Must(c.t, json.Unmarshal(text, &session))
	c.add("access token", session.AccessToken)
	c.add("refresh token", session.RefreshToken)
}

// expireTokens makes the next command refresh the session.
func (c *canaries) expireTokens(home string) {
	c.t.Helper()
	path := c.sessionOf(home)
	text, err := os.ReadFile(path)
	testkit.Must(c.t, err)
	var session storedSession
	testkit.Must(c.t, json.Unmarshal(text, &session))
	session.ExpiresAt = time.Unix(0, 0).UTC()
	text, err = json.Marshal(session)
	testkit.Must(c.t, err)
	testkit.Must(c.t, os.WriteFile(path, text, 0o600))
}

// crash sends SIGQUIT to a command after its first line, and searches what it printed.
func (c *canaries) crash(t *testing.T, command *exec.Cmd) {
	t.Helper()
	var dump bytes.Buffer
	command.Stderr = &dump
	out, err := command.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, command.Start())
	first, err := bufio.NewReader(out).ReadString('\n')
	testkit.Must(t, err)
	testkit.Must(t, command.Process.Signal(syscall.SIGQUIT))
	_, _ = io.Copy(io.Discard, out)
	_ = command.Wait()
	testkit.Contains(t, dump.String(), "SIGQUIT: quit", "goroutine ")
	c.saw("the dump of kizo", dump.Bytes())
	c.saw("an event", []byte(first))
}
