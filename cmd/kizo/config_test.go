package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

func TestTheStrongestSettingWins(t *testing.T) {
	w := newWorld(t, nil)
	origin := func(args ...string) (server, from string) {
		t.Helper()
		w.expect(exitDone, append([]string{"config", "list", "--show-origin"}, args...)...)
		fields := strings.Split(strings.Split(w.out.String(), "\n")[0], "\t")
		return fields[1], fields[2]
	}
	check := func(wantServer, wantFrom string, args ...string) {
		t.Helper()
		if server, from := origin(args...); server != wantServer || from != wantFrom {
			t.Errorf("%s from %s, want %s from %s", server, from, wantServer, wantFrom)
		}
	}
	check(defaultServer, "default")

	user := w.write("config/kizo/config.toml", `server = "https://user.example"`)
	check("https://user.example", user)

	project := w.write(".kizo.toml", `server = "https://project.example"`)
	check("https://project.example", project)

	w.env["KIZO_SERVER"] = "https://environment.example"
	check("https://environment.example", "KIZO_SERVER")
	check("https://flag.example", "--server", "--server", "https://flag.example/")

	delete(w.env, "KIZO_SERVER")
	explicit := w.write("other.toml", `currency = "eur"`)
	check(defaultServer, "default", "--config", explicit)
	testkit.Contains(t, w.out.String(), "currency\tEUR\t"+explicit)
}

func TestAProjectIsFoundFromBelow(t *testing.T) {
	w := newWorld(t, nil)
	project := w.write(".kizo.toml", `currency = "JPY"`)
	w.write("deep/down/file", "")
	t.Chdir(filepath.Join(w.dir, "deep", "down"))
	w.expect(exitDone, "config", "list", "--show-origin")
	testkit.Contains(t, w.out.String(), "currency\tJPY\t"+project)
}

func TestBadConfigurationSaysWhereItIs(t *testing.T) {
	w := newWorld(t, nil)
	missing := filepath.Join(w.dir, "missing.toml")
	w.expect(exitUsage, "config", "list", "--config", missing)
	testkit.Contains(t, w.err.String(), missing)

	for content, want := range map[string]string{
		`sever = "x"`:         `unknown setting "sever"`,
		`server = 7420`:       "must be a quoted string",
		`server = `:           "cannot read",
		`server = "nonsense"`: "needs a scheme",
		`currency = "EURO"`:   "ISO 4217",
	} {
		path := w.write("config/kizo/config.toml", content)
		w.expect(exitUsage, "config", "list")
		testkit.Contains(t, w.err.String(), path, want)
	}
}

func TestNoTokenToAProjectServer(t *testing.T) {
	w := newWorld(t, nil)
	w.write(".kizo.toml", `server = "http://127.0.0.1:1"`)
	w.env["KIZO_TOKEN"] = "secret"
	w.expect(exitUsage, "balance")
	testkit.Contains(t, w.err.String(), "KIZO_TOKEN is not sent", "KIZO_SERVER=http://127.0.0.1:1")
}
