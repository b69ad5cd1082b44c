package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// serve never creates a secrets file: a second host would hash passwords with a pepper that no
// other host has.
func TestServeNeedsASecretsFile(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "kizo", "secrets.json")
	db := pgtest.New(t)
	env := append(validEnv(t), "KIZO_DATABASE_URL="+db.AppURL, "KIZO_LISTEN=127.0.0.1:0", "KIZO_OPS_LISTEN=127.0.0.1:0")
	refused := func(env []string, words ...string) {
		t.Helper()
		code, output := run(t, env, "serve", "--secrets-file", missing)
		if code != exitError {
			t.Errorf("exit %d", code)
		}
		testkit.Contains(t, output, append(words, missing)...)
		if exists(filepath.Dir(missing)) {
			t.Error("serve made the directory of a secrets file")
		}
	}
	refused(validEnv(t), "copy it", "kizod secrets init") // the database cannot be reached
	refused(env, "run `kizod secrets init`")
	ready := filepath.Join(t.TempDir(), "ready.json")
	p := start(t, env, "serve", "--roles", "api", "--ready-file", ready)
	p.ready(ready)
	signingKey, pepper := secretIDs(t, env)
	refused(env, "copy it", signingKey, pepper)

	// A new file with other secrets is refused as well.
	code, output := run(t, append(env, "KIZO_SECRETS_FILE="+newSecrets(t)), "serve", "--ready-file", ready+".other")
	if code != exitError {
		t.Errorf("another file: exit %d", code)
	}
	testkit.Contains(t, output, "pepper "+pepper+" is missing", "signing key "+signingKey+" is missing")
	p.stops()
}

// newSecrets makes a secrets file and returns its path.
func newSecrets(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.json")
	testkit.Must(t, auth.CreateSecrets(path))
	return path
}

// secretIDs returns the ids of the keys in use in the file that env names.
func secretIDs(t *testing.T, env []string) (signingKey, pepper string) {
	t.Helper()
	for _, e := range env {
		if path, ok := strings.CutPrefix(e, "KIZO_SECRETS_FILE="); ok {
			secrets, err := auth.LoadSecrets(path)
			testkit.Must(t, err)
			signingKey, pepper = secrets.InUse()
		}
	}
	return signingKey, pepper
}

// SIGHUP reloads the secrets and the log level. If the file is invalid, kizod logs an error and
// continues with the old secrets.
func TestHangupReloads(t *testing.T) {
	t.Parallel()
	db, client, dir := pgtest.New(t), newClient(), t.TempDir()
	config := filepath.Join(dir, "kizod.toml")
	testkit.Must(t, os.WriteFile(config, []byte("log_level = 'info'\n"), 0o600))
	env := append(validEnv(t), "KIZO_DATABASE_URL="+db.AppURL, "KIZO_LISTEN=127.0.0.1:0", "KIZO_OPS_LISTEN=127.0.0.1:0", "KIZO_LOG_FORMAT=json")
	secrets := newSecrets(t)
	env = append(env, "KIZO_SECRETS_FILE="+secrets)
	ready := filepath.Join(dir, "ready.json")
	p := start(t, env, "serve", "--roles", "api,auth", "--ready-file", ready, "--config", config)
	r := p.ready(ready)
	hangups := 0
	hangUp := func(words ...string) {
		t.Helper()
		p.signal(syscall.SIGHUP)
		hangups++
		testkit.Eventually(t, "it has handled SIGHUP", func() bool { return strings.Count(p.out.String(), `"msg":"SIGHUP: `) == hangups })
		lines := strings.Split(strings.TrimSpace(p.out.String()), "\n")
		at := slices.IndexFunc(lines, func(line string) bool { return strings.Count(line, `"msg":"SIGHUP: `) > 0 })
		for i := at + 1; i < len(lines); i++ { // of the last reload
			if strings.Contains(lines[i], `"msg":"SIGHUP: `) {
				at = i
			}
		}
		testkit.Contains(t, lines[at], words...)
	}
	alice := signUp(t, client, r.URL, "alice")
	signingKey, pepper := secretIDs(t, env)
	hangUp(`"INFO"`, "reloaded", signingKey, pepper)

	good, err := os.ReadFile(secrets)
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(secrets, []byte("{}"), 0o600))
	hangUp(`"ERROR"`, "not reloaded")
	other, err := os.ReadFile(newSecrets(t))
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(secrets, other, 0o600))
	hangUp(`"ERROR"`, "not reloaded", "pepper "+pepper+" is missing")
	testkit.Must(t, os.WriteFile(secrets, good, 0o600))
	testkit.Must(t, os.Chmod(secrets, 0o644))
	hangUp(`"ERROR"`, "not reloaded", "chmod 600")
	testkit.Must(t, os.Chmod(secrets, 0o600))
	testkit.Must(t, os.WriteFile(config, []byte("log_level = 'loud'\n"), 0o600))
	hangUp(`"ERROR"`, "not reloaded", "loud")
	testkit.Must(t, os.WriteFile(config, []byte("log_level = 'debug'\ncurrency = 'EUR'\n"), 0o600))
	hangUp(`"INFO"`, "reloaded", `"log_level":"debug"`)
	testkit.Contains(t, p.out.String(), `"settings":"currency"`)

	if w, err := alice.wallet(client, r.URL); err != nil || w.Balance != 0 { // the old token is still valid
		t.Errorf("got %+v, %v", w, err)
	}
	signUp(t, client, r.URL, "bob")
	client.CloseIdleConnections()
	p.stops()
}

// A terminal that closes sends SIGHUP. A command other than serve then ends as after SIGTERM,
// unless it was started with SIGHUP ignored.
func TestHangupEndsTerminalCommands(t *testing.T) {
	t.Parallel()
	data := pgtest.TempDir(t)
	d := startDev(t, data)
	d.signal(syscall.SIGHUP)
	if code := d.ends(); code != 0 {
		t.Errorf("dev: exit %d", code)
	}
	if _, running, err := embedded.Attach(data); running || err != nil {
		t.Errorf("PostgreSQL still runs: %v, %v", running, err)
	}
	bank, _ := startBank(t, filepath.Join(t.TempDir(), "bank.jsonl"))
	bank.signal(syscall.SIGHUP)
	if code := bank.ends(); code != 0 {
		t.Errorf("mockbank: exit %d", code)
	}

	file := filepath.Join(t.TempDir(), "ready.json")
	p := startCommand(t, nil, exec.Command("sh", "-c", `trap '' HUP; exec "$0" "$@"`, kizod,
		"dev", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--ready-file", file))
	r := p.ready(file)
	p.signal(syscall.SIGHUP)
	if response, err := newClient().Get(r.OpsURL + "/readyz"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("with SIGHUP ignored: %v, %v", response, err)
	}
	p.stops()
	childrenEnd(t, data)
}

func TestSecretsInit(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kizo", "secrets.json")
	code, output := run(t, nil, "secrets", "init", "--secrets-file", file)
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, output)
	}
	testkit.Contains(t, output, file, "copy it")
	before, err := os.ReadFile(file)
	testkit.Must(t, err)
	code, output = run(t, nil, "secrets", "init", "--secrets-file", file)
	if code != exitError || !strings.Contains(output, "already") {
		t.Errorf("a second init: exit %d\n%s", code, output)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("the file was changed: %v", err)
	}
	info, err := os.Stat(file)
	testkit.Must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	for _, mode := range []os.FileMode{0o640, 0o604} {
		testkit.Must(t, os.Chmod(file, mode))
		code, output = run(t, validEnv(t), "serve", "--secrets-file", file)
		if code != exitError || !strings.Contains(output, "chmod 600") {
			t.Errorf("mode %v: exit %d\n%s", mode, code, output)
		}
	}
}
