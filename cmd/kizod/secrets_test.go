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

// serve never creates a secrets file: a second host would hash passwords under a
// pepper that no other copy has.
func TestServeNeedsASecretsFile(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "kizo", "secrets.json")
	db := pgtest.New(t)
	env := append(sound(t), "KIZO_DATABASE_URL="+db.AppURL, "KIZO_LISTEN=127.0.0.1:0", "KIZO_OPS_LISTEN=127.0.0.1:0")
	refused := func(env []string, words ...string) {
		t.Helper()
		code, said := run(t, env, "serve", "--secrets-file", missing)
		if code != exitError {
			t.Errorf("exit %d", code)
		}
		testkit.Contains(t, said, append(words, missing)...)
		if exists(filepath.Dir(missing)) {
			t.Error("serve made the directory of a secrets file")
		}
	}
	refused(sound(t), "copy it", "kizod secrets init") // no database to ask
	refused(env, "run `kizod secrets init`")
	ready := filepath.Join(t.TempDir(), "ready.json")
	p := start(t, env, "serve", "--roles", "api", "--ready-file", ready)
	p.ready(ready)
	signingKey, pepper := secretIDs(t, env)
	refused(env, "copy it", signingKey, pepper)

	// A file of its own is no better.
	code, said := run(t, append(env, "KIZO_SECRETS_FILE="+newSecrets(t)), "serve", "--ready-file", ready+".other")
	if code != exitError {
		t.Errorf("another file: exit %d", code)
	}
	testkit.Contains(t, said, "pepper "+pepper+" is missing", "signing key "+signingKey+" is missing")
	p.stops()
}

// newSecrets makes a secrets file.
func newSecrets(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.json")
	testkit.Must(t, auth.CreateSecrets(path))
	return path
}

// secretIDs are the ids in use in the file that env names.
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

// SIGHUP reloads the secrets and the log level; a file that cannot be used is refused
// with a line in the log, and the process serves on with the old one.
func TestHangupReloads(t *testing.T) {
	t.Parallel()
	db, client, dir := pgtest.New(t), newClient(), t.TempDir()
	config := filepath.Join(dir, "kizod.toml")
	testkit.Must(t, os.WriteFile(config, []byte("log_level = 'info'\n"), 0o600))
	env := append(sound(t), "KIZO_DATABASE_URL="+db.AppURL, "KIZO_LISTEN=127.0.0.1:0", "KIZO_OPS_LISTEN=127.0.0.1:0", "KIZO_LOG_FORMAT=json")
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
		testkit.Eventually(t, "it answers SIGHUP", func() bool { return strings.Count(p.out.String(), `"msg":"SIGHUP: `) == hangups })
		lines := strings.Split(strings.TrimSpace(p.out.String()), "\n")
		at := slices.IndexFunc(lines, func(line string) bool { return strings.Count(line, `"msg":"SIGHUP: `) > 0 })
		for i := at + 1; i < len(lines); i++ { // the last of them
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

	if w, err := alice.wallet(client, r.URL); err != nil || w.Balance != 0 { // her token is good still
		t.Errorf("got %+v, %v", w, err)
	}
	signUp(t, client, r.URL, "bob")
	client.CloseIdleConnections()
	p.stops()
}

// A terminal that closes sends SIGHUP: what runs in it ends in good order, unless it was
// started to outlive it.
func TestHangupEndsWhatRunsInATerminal(t *testing.T) {
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
	code, said := run(t, nil, "secrets", "init", "--secrets-file", file)
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, said)
	}
	testkit.Contains(t, said, file, "copy it")
	before, err := os.ReadFile(file)
	testkit.Must(t, err)
	code, said = run(t, nil, "secrets", "init", "--secrets-file", file)
	if code != exitError || !strings.Contains(said, "already") {
		t.Errorf("a second init: exit %d\n%s", code, said)
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
		code, said = run(t, sound(t), "serve", "--secrets-file", file)
		if code != exitError || !strings.Contains(said, "chmod 600") {
			t.Errorf("mode %v: exit %d\n%s", mode, code, said)
		}
	}
}
