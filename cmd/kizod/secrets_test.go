package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// serve never creates a secrets file: a second host would hash passwords under a
// pepper that no other copy has.
func TestServeNeedsASecretsFile(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "kizo", "secrets.json")
	env := append(sound(t), "KIZO_DATABASE_URL="+pgtest.New(t).AppURL, "KIZO_LISTEN=127.0.0.1:0", "KIZO_OPS_LISTEN=127.0.0.1:0")
	code, said := run(t, env, "serve", "--secrets-file", missing)
	if code != exitError {
		t.Errorf("exit %d", code)
	}
	wantWords(t, said, missing, "copy it", "kizod secrets init")
	if exists(filepath.Dir(missing)) {
		t.Error("serve made the directory of a secrets file")
	}
}

func TestSecretsInit(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kizo", "secrets.json")
	code, said := run(t, nil, "secrets", "init", "--secrets-file", file)
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, said)
	}
	wantWords(t, said, file, "copy it")
	before, err := os.ReadFile(file)
	must(t, err)
	code, said = run(t, nil, "secrets", "init", "--secrets-file", file)
	if code != exitError || !strings.Contains(said, "already") {
		t.Errorf("a second init: exit %d\n%s", code, said)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("the file was changed: %v", err)
	}
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	for _, mode := range []os.FileMode{0o640, 0o604} {
		must(t, os.Chmod(file, mode))
		code, said = run(t, sound(t), "serve", "--secrets-file", file)
		if code != exitError || !strings.Contains(said, "chmod 600") {
			t.Errorf("mode %v: exit %d\n%s", mode, code, said)
		}
	}
}
