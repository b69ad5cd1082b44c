package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// The commands of docs/operations.md for a rotation work in their order, while two kizods run that
// have a copy of the secrets file each.
func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	db, client, dir := pgtest.New(t), newClient(), t.TempDir()
	database := "KIZO_DATABASE_URL=" + db.AppURL
	files := []string{filepath.Join(dir, "a", "secrets.json"), filepath.Join(dir, "b", "secrets.json")}
	command := func(file, name string, args ...string) (code int, output string) {
		t.Helper()
		return run(t, []string{database, "KIZO_SECRETS_FILE=" + file}, append([]string{"secrets", name}, args...)...)
	}
	succeeds := func(file, name string, words ...string) {
		t.Helper()
		code, output := command(file, name)
		if code != 0 {
			t.Fatalf("secrets %s: exit %d\n%s", name, code, output)
		}
		testkit.Contains(t, output, words...)
	}
	copyFile := func() {
		t.Helper()
		text, err := os.ReadFile(files[0])
		testkit.Must(t, err)
		testkit.Must(t, os.WriteFile(files[1], text, 0o600))
	}
	succeeds(files[0], "init", "copy it to every host")
	testkit.Must(t, os.Mkdir(filepath.Dir(files[1]), 0o700))
	copyFile()
	var all []*process
	var urls []string
	for i, file := range files {
		ready := filepath.Join(dir, filepath.Base(filepath.Dir(file))+".ready")
		env := append(validEnv(t), database, "KIZO_SECRETS_FILE="+file, "KIZO_LISTEN=127.0.0.1:0", "KIZO_OPS_LISTEN=127.0.0.1:0", "KIZO_LOG_FORMAT=json")
		all = append(all, start(t, env, "serve", "--roles", "api,auth", "--ready-file", ready))
		urls = append(urls, all[i].ready(ready).URL)
	}
	reload := func(i int) {
		t.Helper()
		before := strings.Count(all[i].out.String(), "SIGHUP: reloaded")
		all[i].signal(syscall.SIGHUP)
		testkit.Eventually(t, "it has reloaded", func() bool { return strings.Count(all[i].out.String(), "SIGHUP: reloaded") > before })
	}
	alice := signUp(t, client, urls[0], "alice")
	succeeds(files[0], "check", "signing_key", "pepper", "first", "active", "api,auth", "v1.2.3-test")

	code, output := command(files[0], "init")
	if code != exitError || !strings.Contains(output, "the database has secrets already") {
		t.Errorf("init on a database in use: exit %d\n%s", code, output)
	}
	succeeds(files[0], "rotate", "Nothing uses them yet", "kill -HUP", "kizod secrets activate")
	reload(0)
	code, output = command(files[0], "activate")
	if code != exitError || !strings.Contains(output, "does not have pepper") {
		t.Errorf("activate before the second host has the keys: exit %d\n%s", code, output)
	}
	copyFile()
	reload(1)
	succeeds(files[0], "activate", "1 users still need pepper", "kizod secrets remove")
	reload(0)
	bob := signUp(t, client, urls[0], "bob") // with the new keys, while the second host uses the old ones
	for i, url := range urls {
		for _, p := range []*person{alice, bob} {
			if _, err := p.wallet(client, url); err != nil {
				t.Errorf("kizod %d does not accept the token of %s: %v", i, p.handle, err)
			}
		}
	}
	succeeds(files[1], "check", "has been replaced")
	copyFile()
	reload(1)
	succeeds(files[0], "remove", "the passwords of 1 users are under it", "nothing was removed")
	succeeds(files[0], "check", "retired")
	succeeds(files[0], "record", "already")
	client.CloseIdleConnections()
	for _, p := range all {
		p.stops()
	}

	for _, wrong := range [][]string{{"remove", "p-unknown"}, {"rotate", "--only=cook"}, {"activate"}} {
		if code, output := command(files[0], wrong[0], wrong[1:]...); code == 0 {
			t.Errorf("%v: %s", wrong, output)
		}
	}
	other := newSecrets(t)
	if code, output := command(other, "check"); code != exitError || !strings.Contains(output, "is missing") {
		t.Errorf("check of another file: exit %d\n%s", code, output)
	}
}
