package main

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// TestRelativeHomeIsNotTheWorkingDirectory: with HOME unset, empty or relative, the state is stored
// in the home directory of the password database and never in the working directory.
func TestRelativeHomeIsNotTheWorkingDirectory(t *testing.T) {
	me, err := user.Current()
	if err != nil || !filepath.IsAbs(me.HomeDir) {
		t.Skipf("the password database has no home for this user: %v", err)
	}
	for name, env := range map[string]map[string]string{
		"unset":              {},
		"empty":              {"HOME": ""},
		"relative":           {"HOME": "here"},
		"a dot":              {"HOME": "."},
		"relative and XDG":   {"HOME": "here", "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config"},
		"XDG beside no HOME": {"XDG_STATE_HOME": "./state", "XDG_CONFIG_HOME": "../config"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.env = env
			a := w.app()
			state, err := a.stateDir()
			if want := filepath.Join(me.HomeDir, ".local", "state", "kizo"); err != nil || state != want {
				t.Errorf("state in %s, %v; want %s", state, err, want)
			}
			if got, want := a.configDir(), filepath.Join(me.HomeDir, ".config", "kizo"); got != want {
				t.Errorf("configuration in %s, want %s", got, want)
			}
		})
	}
}

// TestAConfigurationInTheWorkingDirectoryIsNotTheUsers: another user may have written the file that
// a relative HOME or XDG_CONFIG_HOME names.
func TestAConfigurationInTheWorkingDirectoryIsNotTheUsers(t *testing.T) {
	w := newWorld(t, nil)
	w.write("here/.config/kizo/config.toml", `currency = "JPY"`)
	w.write(".config/kizo/config.toml", `currency = "JPY"`)
	w.write("config/kizo/config.toml", `currency = "JPY"`)
	for _, env := range []map[string]string{{"HOME": "here"}, {"HOME": "."}, {"XDG_CONFIG_HOME": "config"}} {
		w.env = env
		w.expect(exitDone, "config", "list")
		if got := w.out.String(); strings.Contains(got, "JPY") {
			t.Errorf("%v: %s", env, got)
		}
	}
	if left, _ := os.ReadDir(w.dir); len(left) != 3 {
		t.Errorf("something was written here: %v", left)
	}
}
