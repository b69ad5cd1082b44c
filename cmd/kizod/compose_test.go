package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// composeFile is the part of deploy/compose.yaml that the test reads.
type composeFile struct {
	Services map[string]composeService
	Secrets  map[string]struct{ File string }
}

type composeService struct {
	Image, User string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	Command     []string
	Environment map[string]string
	Secrets     []string
	Healthcheck map[string]any
}

func readCompose(t *testing.T) (file composeFile) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/compose.yaml")
	testkit.Must(t, err)
	testkit.Must(t, yaml.Unmarshal(text, &file))
	return file
}

// Every container runs without root and without privileges, writes to no root file system, is
// watched, and gets its passwords as files.
func TestComposeIsContained(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	if len(file.Services) < 10 {
		t.Fatalf("there are %d services", len(file.Services))
	}
	for name, s := range file.Services {
		uid, _, _ := strings.Cut(s.User, ":")
		if uid == "" || uid == "0" || !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not contained: %+v", name, s)
		}
		if len(s.Healthcheck) == 0 {
			t.Errorf("%s has no health check", name)
		}
		for key := range s.Environment {
			if strings.Contains(key, "PASSWORD") && !strings.HasSuffix(key, "_FILE") {
				t.Errorf("%s has a password in its environment: %s", name, key)
			}
		}
		for _, secret := range s.Secrets {
			if _, ok := file.Secrets[secret]; !ok {
				t.Errorf("%s needs the unknown secret %s", name, secret)
			}
		}
	}
}

// TestCompose runs the services of deploy/compose.yaml as processes, with the secrets that
// setup.sh makes: PostgreSQL and Redis of this machine, and each kizod with its own command. Only
// addresses and paths differ. A payment goes through nginx and all roles.
func TestCompose(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"nginx", "redis-server", "openssl", "bash"} {
		needsProgram(t, program)
	}
	file := readCompose(t)
	p := &environment{t: t, dir: t.TempDir()}
	p.pg = pgtest.NewServer(t, 0)
	needsPrograms(t, p.pg, "psql")
	secrets := filepath.Join(p.dir, "secrets")
	env := append(operatorEnv(t, p.pg, map[string]string{"postgres": pgtest.SuperuserPassword}), "KIZOD="+kizod, "KIZO_SECRETS="+secrets)
	t.Log(shell(t, "../../deploy/compose", env, "./setup.sh 2>&1\n./roles.sh"))
	for name := range file.Secrets {
		if info, err := os.Stat(filepath.Join(secrets, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}

	listens := map[string]string{} // the address of each service
	for _, name := range []string{"api", "auth", "bank", "redis", "nginx", "ops-api", "ops-auth", "ops-worker", "ops-janitor"} {
		listens[name] = "127.0.0.1:" + itoa(pgtest.FreePort(t))
	}
	p.replace = []string{
		"@postgres:5432", "@127.0.0.1:" + itoa(p.pg.Port), "@redis:6379", "@" + listens["redis"], "http://bank:7422", "http://" + listens["bank"],
		"0.0.0.0:7422", listens["bank"], "http://127.0.0.1:7422", "http://" + listens["bank"], "http://api:7420", "http://" + listens["api"],
		"server api:7420", "server " + listens["api"], "server auth:7420", "server " + listens["auth"], "listen 8443", "listen " + listens["nginx"],
		`trusted_proxies = "10.77.0.10"`, `trusted_proxies = "127.0.0.1"`, "/run/secrets/", secrets + "/", "/var/lib/kizo/", p.dir + "/",
		"/tmp/", p.dir + "/", "dir /data", "dir " + p.dir,
	}
	for name := range file.Secrets {
		path := filepath.Join(secrets, name)
		text, err := os.ReadFile(path)
		testkit.Must(t, err)
		testkit.Must(t, os.WriteFile(path, []byte(p.text(string(text))), 0o600))
	}
	host, port, _ := strings.Cut(listens["redis"], ":")
	p.child(exec.CommandContext(t.Context(), "redis-server", filepath.Join(secrets, "redis.conf"), "--bind", host, "--port", port))
	run := func(service string, more ...string) *process {
		var args []string
		for _, arg := range file.Services[service].Command {
			args = append(args, p.text(arg))
		}
		return start(t, nil, append(args, more...)...)
	}
	if migrate := run("migrate"); migrate.ends() != 0 {
		t.Fatalf("migrate: %s", migrate.out.String())
	}
	ready := func(service string, of *process, url string, args ...string) {
		testkit.Eventually(t, service+" is ready", func() bool {
			select {
			case <-of.done:
				t.Fatalf("%s has ended: %s", service, of.out.String())
			default:
			}
			response, err := http.Get(url)
			return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
		})
		if output, err := exec.CommandContext(t.Context(), kizod, append([]string{"health"}, args...)...).CombinedOutput(); err != nil {
			t.Errorf("the health check of %s: %v, %s", service, err, output)
		}
	}
	bank := "http://" + listens["bank"] + "/healthz"
	ready("bank", run("bank"), bank, bank)
	for _, role := range []string{"api", "auth", "worker", "janitor"} {
		api := listens[role]
		if api == "" {
			api = "127.0.0.1:0"
		}
		ready(role, run(role, "--listen", api, "--ops-listen", listens["ops-"+role]), "http://"+listens["ops-"+role]+"/readyz", "--ops-listen", listens["ops-"+role])
	}
	nginx := exec.CommandContext(t.Context(), "nginx", "-e", "stderr", "-c", filepath.Join(secrets, "nginx.conf"), "-g", "daemon off; "+rootUser())
	p.child(nginx)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // setup.sh made the certificate
	t.Cleanup(client.CloseIdleConnections)
	url := "https://" + listens["nginx"]
	testkit.Eventually(t, "nginx answers", func() bool {
		response, err := client.Get(url + "/openapi.yaml")
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	})
	ada := signUp(t, client, url, "ada")
	if o, err := deposit(ada, 100_00).send(client, url, 20); err != nil || o.state != "posted" {
		t.Errorf("deposit: %+v, %v", o, err)
	}
}

// rootUser returns the setting that lets nginx of root keep its user, so that it can read the files
// of the test.
func rootUser() string {
	if os.Geteuid() == 0 {
		return "user root;"
	}
	return ""
}

// kizod health fails while nothing is ready.
func TestHealth(t *testing.T) {
	t.Parallel()
	port := pgtest.FreePort(t)
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"--ops-listen", fmt.Sprint("0.0.0.0:", port)}, exitError},
		{[]string{fmt.Sprintf("http://127.0.0.1:%d/healthz", port)}, exitError},
		{[]string{"127.0.0.1"}, exitUsage},
		{[]string{"http://127.0.0.1:1", "more"}, exitUsage},
	} {
		if code, output := run(t, nil, append([]string{"health"}, c.args...)...); code != c.code {
			t.Errorf("%v: exit %d, want %d: %s", c.args, code, c.code, output)
		}
	}
	d := startDev(t, pgtest.TempDir(t))
	ops := strings.TrimPrefix(d.OpsURL, "http://")
	if code, output := run(t, nil, "health", "--ops-listen", ops); code != 0 || output != "ready\n" {
		t.Errorf("exit %d: %s", code, output)
	}
	draining := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"status":"no database","reason":"connection \u001b[31mrefused"}`)
	}))
	t.Cleanup(draining.Close)
	if code, output := run(t, nil, "health", draining.URL); code != exitError || !strings.Contains(output, "not ready: no database: connection ") || strings.Contains(output, "\x1b") {
		t.Errorf("exit %d: %q", code, output)
	}
	if code, output := run(t, nil, "health", d.OpsURL+"/absent"); code != exitError || !strings.Contains(output, "404") {
		t.Errorf("exit %d: %s", code, output)
	}
}
