package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

func TestSecretsAreCreatedOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "kizo")
	path := filepath.Join(dir, "secrets.json")
	made, err := LoadOrCreateSecrets(path)
	testkit.Must(t, err)
	for name, want := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		info, err := os.Stat(name)
		testkit.Must(t, err)
		testkit.Equal(t, name, info.Mode().Perm(), want)
	}
	entries, err := os.ReadDir(dir)
	testkit.Must(t, err)
	testkit.Equal(t, "files", len(entries), 1)

	again, err := LoadOrCreateSecrets(path)
	testkit.Must(t, err)
	testkit.Equal(t, "signing key", sameSecret(again.SigningKeys[0], made.SigningKeys[0]), true)
	testkit.Equal(t, "pepper id", again.PepperKeys[0].ID, made.PepperKeys[0].ID)
	testkit.Equal(t, "pepper", sameSecret(again.PepperKeys[0].Key, made.PepperKeys[0].Key), true)
	testkit.Equal(t, "bank callback", sameSecret(again.BankCallback, made.BankCallback), true)
	testkit.Equal(t, "bank token", sameSecret(again.BankToken, made.BankToken), true)
	testkit.Equal(t, "all differ", sameSecret(made.BankToken, made.BankCallback), false)
	_, err = made.Keys()
	testkit.Must(t, err)
	_, err = made.Peppers()
	testkit.Must(t, err)

	other, err := LoadOrCreateSecrets(filepath.Join(t.TempDir(), "secrets.json"))
	testkit.Must(t, err)
	testkit.Equal(t, "key of another file", sameSecret(other.SigningKeys[0], made.SigningKeys[0]), false)
}

func TestConcurrentProcessesCreateOneFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kizo", "secrets.json")
	found, starting := make(chan Secrets, 16), sync.WaitGroup{}
	for range cap(found) {
		starting.Go(func() {
			s, err := LoadOrCreateSecrets(path)
			if err != nil {
				t.Error(err)
				return
			}
			found <- s
		})
	}
	starting.Wait()
	close(found)
	first := <-found
	for s := range found {
		if !sameSecret(s.BankToken, first.BankToken) {
			t.Fatal("two processes hold different secrets")
		}
	}
}

func TestSecretsFileIsRefused(t *testing.T) {
	t.Parallel()
	good, err := json.Marshal(freshSecrets())
	testkit.Must(t, err)
	edited := func(change func(*secretsFile)) []byte {
		f := freshSecrets()
		change(&f)
		text, err := json.Marshal(f)
		testkit.Must(t, err)
		return text
	}
	for name, c := range map[string]struct {
		text    []byte
		arrange func(path string) error
		want    string
	}{
		"group may read":      {good, func(p string) error { return os.Chmod(p, 0o640) }, "chmod 600"},
		"world may read":      {good, func(p string) error { return os.Chmod(p, 0o604) }, "chmod 600"},
		"group may write":     {good, func(p string) error { return os.Chmod(p, 0o620) }, "chmod 600"},
		"directory is open":   {good, func(p string) error { return os.Chmod(filepath.Dir(p), 0o777) }, "chmod 700"},
		"symbolic link":       {good, func(p string) error { return linkAway(p) }, "symbolic link"},
		"dangling link":       {good, func(p string) error { _ = linkAway(p); return os.Remove(p + ".real") }, "symbolic link"},
		"directory":           {good, func(p string) error { _ = os.Remove(p); return os.Mkdir(p, 0o700) }, "not a regular file"},
		"empty":               {nil, nil, "not a secrets file"},
		"cut short":           {good[:len(good)/2], nil, "not a secrets file"},
		"unknown field":       {[]byte(`{"version":1,"signing_key":"AAAA"}`), nil, "not a secrets file"},
		"huge":                {bytes.Repeat([]byte(" "), maxSecretsBytes+1), nil, "larger than"},
		"version of tomorrow": {edited(func(f *secretsFile) { f.Version = 2 }), nil, "version 2"},
		"no key":              {edited(func(f *secretsFile) { f.SigningKeys = nil }), nil, "no signing key"},
		"short key":           {edited(func(f *secretsFile) { f.SigningKeys[0] = make([]byte, 31) }), nil, "31 bytes"},
		"no pepper":           {edited(func(f *secretsFile) { f.Peppers = nil }), nil, "no pepper"},
		"short pepper":        {edited(func(f *secretsFile) { f.Peppers[0].Key = make([]byte, 8) }), nil, "fewer than"},
		"two of one pepper":   {edited(func(f *secretsFile) { f.Peppers = append(f.Peppers, f.Peppers[0]) }), nil, "twice"},
		"no bank token":       {edited(func(f *secretsFile) { f.BankToken = nil }), nil, "of the bank"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "secrets.json")
			testkit.Must(t, os.WriteFile(path, c.text, 0o600))
			if c.arrange != nil {
				testkit.Must(t, c.arrange(path))
			}
			_, err := LoadOrCreateSecrets(path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something with %q", err, c.want)
			}
		})
	}
}

// TestSecretsAreNotCreatedInPublicDirectory: a file is not created in a place where serve would
// refuse it.
func TestSecretsAreNotCreatedInPublicDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "open")
	testkit.Must(t, os.Mkdir(dir, 0o700))
	testkit.Must(t, os.Chmod(dir, 0o777))
	err := CreateSecrets(filepath.Join(dir, "secrets.json"))
	if err == nil || !strings.Contains(err.Error(), "chmod 700 "+dir) {
		t.Errorf("got %v", err)
	}
	entries, err := os.ReadDir(dir)
	testkit.Must(t, err)
	testkit.Equal(t, "files", len(entries), 0)
}

func linkAway(path string) error {
	if err := os.Rename(path, path+".real"); err != nil {
		return err
	}
	return os.Symlink(path+".real", path)
}

// canary is a part of every secret of this test. No printed text may contain it.
const canary = "CANARY-0123456789-0123456789-012"

func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	secret := NewSecret([]byte(canary))
	pepper := Pepper{ID: "p1", Key: secret}
	peppers, err := NewPeppers(pepper)
	testkit.Must(t, err)
	secrets := Secrets{
		SigningKeys: []Secret{secret}, PepperKeys: []Pepper{pepper}, BankCallback: secret, BankToken: secret,
	}
	keys, err := secrets.Keys()
	testkit.Must(t, err)
	type nested struct{ hidden, Shown any }
	type typed struct {
		hidden  Secret
		secrets Secrets
		peppers Peppers
		config  Config
	}
	config := Config{Keys: keys, Peppers: peppers}
	values := []any{
		secret, &secret, pepper, peppers, &peppers, secrets, &secrets, keys, *keys, config,
		nested{secret, secrets}, typed{secret, secrets, peppers, config}, []Secret{secret}, map[string]Secret{"x": secret},
		Tokens{AccessToken: canary, RefreshToken: canary}, SignUpInput{Handle: "alice", Password: canary},
	}
	for _, value := range values {
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "value", value)
		for _, leak := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary))} {
			if strings.Contains(out.String(), strings.Trim(leak, "[]")) {
				t.Errorf("%T leaks:\n%.2000s", value, out.String())
				break
			}
		}
	}
	for _, value := range []any{secret, pepper, secrets, peppers, map[string]any{"s": secrets}} {
		text, err := json.Marshal(value)
		testkit.Must(t, err)
		if bytes.Contains(text, []byte("Q0FOQVJZ")) || bytes.Contains(text, []byte(canary)) { // base64 of CANARY
			t.Errorf("%T marshals to %s", value, text)
		}
	}
}

// TestAuditKeysFollowSigningKeys: each signing key has an audit key of its own, in the same order,
// and the same after a restart.
func TestAuditKeysFollowSigningKeys(t *testing.T) {
	t.Parallel()
	old, current := NewSecret(bytes.Repeat([]byte{1}, 32)), NewSecret(bytes.Repeat([]byte{2}, 32))
	rotated := Secrets{SigningKeys: []Secret{current, old}}.AuditKeys()
	before := Secrets{SigningKeys: []Secret{old}}.AuditKeys()
	testkit.Equal(t, "keys", len(rotated), 2)
	testkit.Equal(t, "id of the old key", rotated[1].ID, before[0].ID)
	testkit.Equal(t, "old key", sameSecret(rotated[1].Key, before[0].Key), true)
	testkit.Equal(t, "id that older audits were signed with", rotated[1].ID, "ce5707bbaeba56b4")
	for name, other := range map[string]Secret{"signing key": current, "other audit key": rotated[1].Key} {
		testkit.Equal(t, name, sameSecret(rotated[0].Key, other), false)
	}
	testkit.Equal(t, "ids are the same", rotated[0].ID == rotated[1].ID, false)
	testkit.Equal(t, "length", rotated[0].Key.Len(), 32)
}

func sameSecret(a, b Secret) bool { return bytes.Equal(a.Reveal(), b.Reveal()) }
