package main

import (
	"os"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/apikey"
	"github.com/JDevAman/kizo/internal/testkit"
)

// TestKeyIsNotInOutput: no error, hint, debug output or JSON repeats a key, whole or damaged.
func TestKeyIsNotInOutput(t *testing.T) {
	key := apikey.New()
	for name, env := range map[string]map[string]string{
		"no server":         {"KIZO_API_KEY": key, "KIZO_SERVER": "http://127.0.0.1:1"},
		"damaged":           {"KIZO_API_KEY": key[:len(key)-1]},
		"not a key":         {"KIZO_API_KEY": "canary-" + key[10:]},
		"two":               {"KIZO_API_KEY": key, "KIZO_TOKEN": key},
		"unencrypted":       {"KIZO_API_KEY": key, "KIZO_SERVER": "http://192.0.2.1"},
		"a key as its file": {"KIZO_API_KEY_FILE": key},
	} {
		for _, args := range [][]string{{"balance"}, {"balance", "-v", "--json"}, {"login", "ada"}, {"transfer", "@bob", "1", "USD", "-v"}} {
			w := newWorld(t, nil)
			for variable, value := range env {
				w.env[variable] = value
			}
			if code := w.kizo(args...); code == exitDone {
				t.Errorf("%s: kizo %q succeeded", name, args)
			}
			printed := w.out.String() + w.err.String()
			if strings.Contains(printed, key[10:len(key)-1]) {
				t.Errorf("%s: kizo %q printed the key: %s", name, args, printed)
			}
		}
	}
}

// TestKeyIsNotSentToServerOfDirectory: a .kizo.toml of another user does not choose where a key
// goes.
func TestKeyIsNotSentToServerOfDirectory(t *testing.T) {
	w := newWorld(t, nil)
	w.env["KIZO_API_KEY"] = apikey.New()
	w.write(projectConfigName, `server = "http://127.0.0.1:1"`)
	w.expect(exitUsage, "balance")
	testkit.Contains(t, w.err.String(), "KIZO_API_KEY is not sent to http://127.0.0.1:1", "KIZO_SERVER=http://127.0.0.1:1")
}

func TestKeyFileThatAllCanRead(t *testing.T) {
	w := newWorld(t, nil)
	w.env["KIZO_SERVER"] = "http://127.0.0.1:1"
	path := w.write("ci.key", apikey.New()+"\r\nmore\n")
	w.env["KIZO_API_KEY_FILE"] = path
	w.expect(exitFailure, "balance")
	if strings.Contains(w.err.String(), "chmod") {
		t.Errorf("a private file: %s", &w.err)
	}
	testkit.Must(t, os.Chmod(path, 0o644))
	w.expect(exitFailure, "balance")
	testkit.Contains(t, w.err.String(), "every user of this computer can read the API key: chmod go= "+path)
	w.env["KIZO_API_KEY_FILE"] = w.write("empty.key", "")
	w.expect(exitUsage, "balance")
}
