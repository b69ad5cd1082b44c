package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// distDir is an environment variable with the directory of the packages; make snapshot sets it.
const distDir = "KIZO_DIST"

// TestPackages follows the section "Installing packages" of docs/operations.md word for word, up to
// the first payment, and removes the packages again. It runs on a copy of this host in a namespace,
// and so changes nothing. There is no systemd, so that the test itself runs what the units say.
func TestPackages(t *testing.T) {
	dist, err := filepath.Abs(os.Getenv(distDir))
	testkit.Must(t, err)
	switch {
	case os.Getenv(distDir) == "":
		t.Skip("SKIPPED: make snapshot builds the packages and runs this test")
	case os.Geteuid() != 0 || runtime.GOOS != "linux" || runtime.GOARCH != "amd64":
		t.Skip("SKIPPED: it needs Linux on amd64, and root")
	}
	needsProgram(t, "apt-get")
	needsProgram(t, "redis-server")
	if os.Getenv(inNamespace) == "" {
		if output, ran := runInNamespace(t); ran {
			t.Logf("in a namespace of its own:\n%s", output)
			return
		}
		t.Skip("SKIPPED: there is no namespace")
	}
	p := &environment{t: t, dir: t.TempDir(), wordForWord: true}
	testkit.Must(t, enterCopyOfHost(t.TempDir()))
	sections := shellBlocks(t, "docs/operations.md", "## Installing packages")
	if len(sections) != 4 {
		t.Fatalf("the section has %d blocks, want four: installation, settings, start, removal", len(sections))
	}
	asService := shellBlocks(t, "docs/operations.md", "## Running it as a service")

	p.pg = pgtest.NewServer(t, 5432)
	p.startRedis(6379)
	p.env = append(operatorEnv(t, p.pg, map[string]string{"postgres": pgtest.SuperuserPassword}), "DEBIAN_FRONTEND=noninteractive", "KIZO_SERVER=http://127.0.0.1:7420")
	p.env[0] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin:" + p.pg.BinDir() // without the kizod of the tests
	t.Log(shell(t, dist, p.env, sections[0]))
	wantOwner(t, "/etc/kizo/kizod.toml", 0o600)
	wantOwner(t, "/etc/kizo", 0o750)
	t.Log(shell(t, p.dir, p.env, "man -w kizo kizo-transfer; kizod config print --show-origin"))
	t.Log(shell(t, p.dir, p.env, asService[0])) // roles of the database
	t.Log(shell(t, p.dir, p.env, sections[1]))
	wantOwner(t, "/etc/kizo/secrets.json", 0o600)
	p.background(asService[2], "127.0.0.1:7422", "/healthz") // mock bank

	testkit.Contains(t, sections[2], "systemctl enable --now kizod\n")
	service := p.unit("kizod.service", "", "127.0.0.1:7421")
	output := p.onTerminal("kizo signup --email ada@example.com --handle ada --name Ada; kizo deposit 100")
	testkit.Contains(t, output, "posted", "100.00")
	testkit.Must(t, service.Cancel())
	_ = service.Wait() // sh ends by the same signal
	for instance, ops := range map[string]string{"api": "127.0.0.1:7421", "auth": "127.0.0.1:7431", "worker": "127.0.0.1:7441", "janitor": "127.0.0.1:7451"} {
		p.unit("kizod@.service", instance, ops)
	}
	t.Log(p.onTerminal("kizo withdraw 40"))

	settings, err := os.ReadFile("/etc/kizo/kizod.toml")
	testkit.Must(t, err)
	t.Log(shell(t, dist, p.env, strings.ReplaceAll(sections[0], "install", "install --reinstall")))
	if kept, err := os.ReadFile("/etc/kizo/kizod.toml"); err != nil || string(kept) != string(settings) {
		t.Errorf("another installation changed the settings: %v\n%s", err, kept)
	}
	t.Log(shell(t, p.dir, p.env, "apt-get remove -y kizod"))
	if _, err := os.Stat("/usr/bin/kizod"); err == nil {
		t.Error("kizod is there after its removal")
	}
	wantOwner(t, "/etc/kizo/secrets.json", 0o600)
	t.Log(shell(t, p.dir, p.env, sections[3]))
	if left, err := filepath.Glob("/etc/kizo*"); err != nil || len(left) > 0 {
		t.Errorf("after the purge, there is %v, %v", left, err)
	}
	t.Log(shell(t, p.dir, append(p.env, "PGPASSWORD=app-password"), "psql -U kizo_app -d kizo -c 'SELECT count(*) FROM transfers'"))
}

func needsProgram(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED: %s is not installed", name)
	}
}

// wantOwner reports an error unless the user kizo alone may use a file.
func wantOwner(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	testkit.Must(t, err)
	kizo, err := user.Lookup("kizo")
	testkit.Must(t, err)
	if uid := itoa(int(info.Sys().(*syscall.Stat_t).Uid)); uid != kizo.Uid || info.Mode().Perm() != mode {
		t.Errorf("%s has mode %v and the owner %s, want %v and %s", path, info.Mode(), uid, mode, kizo.Uid)
	}
}

// unit runs the command of an installed unit as its user, with its environment file. It waits until
// it is ready.
func (p *environment) unit(name, instance, ops string) *exec.Cmd {
	p.t.Helper()
	text, err := os.ReadFile("/usr/lib/systemd/system/" + name)
	testkit.Must(p.t, err)
	setting := func(key string) string {
		match := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindSubmatch(text)
		if match == nil {
			return ""
		}
		return strings.ReplaceAll(string(match[1]), "%i", instance)
	}
	args := append([]string{"-u", setting("User"), "--"}, strings.Fields(setting("ExecStart"))...)
	cmd := exec.CommandContext(context.WithoutCancel(p.t.Context()), "runuser", args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	if file := setting("EnvironmentFile"); file != "" {
		variables, err := os.ReadFile(file)
		testkit.Must(p.t, err)
		cmd.Env = append(cmd.Env, slices.DeleteFunc(strings.Split(string(variables), "\n"), func(line string) bool {
			return line == "" || line[0] == '#'
		})...)
	}
	output := p.child(cmd)
	testkit.Eventually(p.t, name+" "+instance+" is ready", func() bool {
		response, err := http.Get("http://" + ops + "/readyz")
		if err != nil {
			if cmd.ProcessState != nil {
				p.t.Fatalf("it has ended:\n%s", output.String())
			}
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return cmd
}
