package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/creack/pty"
	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// TestServiceSection runs every command of the section "Running it as a service" of
// docs/operations.md, on a new PostgreSQL with passwords, a Redis with a password and the nginx of
// the same page, up to the first payment.
//
// As root on Linux, it runs in a network and a mount namespace of its own, and changes no word of
// the page. Otherwise it replaces addresses and paths, and logs which.
func TestServiceSection(t *testing.T) {
	t.Parallel()
	if os.Getenv(inNamespace) != "" {
		p := &environment{t: t, dir: t.TempDir(), wordForWord: true}
		testkit.Must(t, enterNamespace(p.dir))
		p.follow()
		return
	}
	if output, ran := runInNamespace(t); ran {
		t.Logf("in a network namespace of its own:\n%s", output)
		return
	}
	p := &environment{t: t, dir: t.TempDir()}
	p.follow()
}

// inNamespace is set for the test process that runs in a namespace.
const inNamespace = "KIZO_TEST_NAMESPACE"

// environment is where the commands of the section run.
type environment struct {
	t           *testing.T
	dir         string
	wordForWord bool
	replace     []string // pairs, for strings.NewReplacer
	env         []string
	pg          *pgtest.Server
}

// at returns the port to listen on: that of the text, or a free one that replaces it.
func (p *environment) at(port int, written string) int {
	if p.wordForWord {
		return port
	}
	free := pgtest.FreePort(p.t)
	p.replaced(written, strings.Replace(written, itoa(port), itoa(free), 1))
	return free
}

func (p *environment) replaced(written, by string) {
	if !p.wordForWord {
		p.t.Logf("%s replaces %s", by, written)
		p.replace = append(p.replace, written, by)
	}
}

func (p *environment) text(written string) string {
	return strings.NewReplacer(p.replace...).Replace(written)
}

func (p *environment) follow() {
	t := p.t
	kizo := filepath.Join(p.dir, "bin", "kizo")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", kizo, "../kizo")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build kizo: %v\n%s", err, output)
	}
	port := 5432
	if !p.wordForWord {
		port = 0
	}
	p.pg = pgtest.NewServer(t, port)
	needsPrograms(t, p.pg, "psql")
	p.replaced("@127.0.0.1/kizo", "@127.0.0.1:"+itoa(p.pg.Port)+"/kizo")
	redisPort := p.at(6379, "127.0.0.1:6379")
	p.startRedis(redisPort)
	p.at(7422, "http://127.0.0.1:7422")
	p.replaced("/etc/kizo/secrets.json", filepath.Join(p.dir, "kizo", "secrets.json"))
	p.env = append(operatorEnv(t, p.pg, map[string]string{"postgres": pgtest.SuperuserPassword}), "SSL_CERT_FILE="+p.certificate())
	p.env[0] = strings.Replace(p.env[0], "PATH=", "PATH="+filepath.Dir(kizo)+":", 1)
	if !p.wordForWord {
		bank := strings.TrimPrefix(p.text("http://127.0.0.1:7422"), "http://")
		api, ops := "127.0.0.1:"+itoa(p.at(7420, "server 127.0.0.1:7420")), "127.0.0.1:"+itoa(pgtest.FreePort(t))
		p.env = append(p.env, "KIZO_BANK_LISTEN="+bank, "KIZO_LISTEN="+api, "KIZO_OPS_LISTEN="+ops)
	}

	blocks := shellBlocks(t, "docs/operations.md", "## Running it as a service")
	if len(blocks) != 5 {
		t.Fatalf("the section has %d blocks, want five: roles, schema and secrets, bank, service, client", len(blocks))
	}
	t.Log(shell(t, p.dir, p.env, p.text(blocks[0])))
	t.Log(shell(t, p.dir, p.env, p.text(blocks[1])))
	p.background(p.text(blocks[2]), p.listens("KIZO_BANK_LISTEN", "127.0.0.1:7422"), "/healthz")
	p.background(p.text(blocks[3]), p.listens("KIZO_OPS_LISTEN", "127.0.0.1:7421"), "/readyz")
	nginx := p.startNginx()
	output := p.onTerminal(p.text(blocks[4]))
	t.Log(output)
	testkit.Contains(t, output, "posted", "100.00")
	// Without Redis or callbacks, the payment would only have been later.
	queue := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + itoa(redisPort), Password: redisPassword})
	defer queue.Close()
	if keys, err := queue.Keys(t.Context(), "asynq:*").Result(); err != nil || len(keys) == 0 {
		t.Errorf("the queue has not used Redis: %v, %v", keys, err)
	}
	if nginx {
		passed, err := os.ReadFile(filepath.Join(p.dir, "access.log"))
		testkit.Must(t, err)
		testkit.Contains(t, string(passed), "POST /v1/auth/signup", "POST /v1/deposits")
	}
}

// listens returns the address in an environment variable, or the default one.
func (p *environment) listens(variable, usual string) string {
	for _, v := range p.env {
		if address, ok := strings.CutPrefix(v, variable+"="); ok {
			return address
		}
	}
	return usual
}

const redisPassword = "queue-password" // of docs/operations.md

// startRedis starts redis-server with the password of the text, or miniredis if redis-server is not
// installed.
func (p *environment) startRedis(port int) {
	t := p.t
	path, err := exec.LookPath("redis-server")
	if err != nil {
		mini := miniredis.NewMiniRedis()
		mini.RequireAuth(redisPassword)
		testkit.Must(t, mini.StartAddr("127.0.0.1:"+itoa(port)))
		t.Cleanup(mini.Close)
		return
	}
	p.child(exec.CommandContext(t.Context(), path, "--port", itoa(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", redisPassword))
	testkit.Eventually(t, "Redis listens", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+itoa(port))
		return err == nil && conn.Close() == nil
	})
}

// child starts a program that ends with the test.
func (p *environment) child(cmd *exec.Cmd) *outputBuffer {
	p.t.Helper()
	var output outputBuffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end the shell together with its children
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	testkit.Must(p.t, cmd.Start())
	p.t.Cleanup(func() {
		_ = cmd.Cancel()
		_ = cmd.Wait()
		if p.t.Failed() {
			p.t.Logf("%s printed:\n%s", cmd, output.String())
		}
	})
	return &output
}

// background starts a script that does not end by itself, and waits until its address answers.
func (p *environment) background(script, address, path string) {
	p.t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(p.t.Context()), "sh", "-eu", "-c", script)
	cmd.Env = p.env
	output := p.child(cmd)
	deadline := time.Now().Add(time.Minute)
	for {
		response, err := http.Get("http://" + address + path)
		if err == nil {
			response.Body.Close()
			if response.StatusCode < http.StatusInternalServerError {
				return
			}
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s\ndoes not answer: %v\n%s", script, err, output.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// startNginx starts the proxy of deploy/nginx. If nginx is not installed, it returns false,
// and the client connects to kizod itself.
func (p *environment) startNginx() bool {
	t := p.t
	path, err := exec.LookPath("nginx")
	if err != nil {
		t.Log("SKIPPED: nginx is not installed; the client connects to kizod without it")
		api := "http://" + p.listens("KIZO_LISTEN", "127.0.0.1:7420")
		p.replace = append(p.replace, "https://wallet.example", api)
		return false
	}
	site, err := os.ReadFile(nginxFile)
	testkit.Must(t, err)
	port := p.at(443, "listen 443 ssl")
	p.replaced("https://wallet.example", "https://127.0.0.1:"+itoa(port))
	config := "daemon off; worker_processes 1; pid nginx.pid; error_log stderr; user root;\nevents {}\nhttp {\naccess_log access.log;\n" +
		p.text(string(site)) + "}\n"
	if os.Geteuid() != 0 {
		config = strings.Replace(config, " user root;", "", 1)
	}
	testkit.Must(t, os.WriteFile(filepath.Join(p.dir, "nginx.conf"), []byte(config), 0o600))
	p.child(exec.CommandContext(context.WithoutCancel(t.Context()), path, "-p", p.dir, "-c", "nginx.conf"))
	testkit.Eventually(t, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+itoa(port))
		return err == nil && conn.Close() == nil
	})
	return true
}

// certificate makes the certificate of nginx, and returns the file that clients trust.
func (p *environment) certificate() string {
	t := p.t
	dir := "/etc/nginx"
	if !p.wordForWord {
		dir = p.dir
		p.replaced("/etc/nginx/wallet.example", filepath.Join(dir, "wallet.example"))
	}
	testkit.Must(t, os.MkdirAll(dir, 0o755))
	pemFile := filepath.Join(dir, "wallet.example.pem")
	testkit.WriteCertificate(t, pemFile, filepath.Join(dir, "wallet.example.key"), time.Now().Add(time.Hour))
	return pemFile
}

// onTerminal runs a script on a terminal, and types a password at each prompt for one.
func (p *environment) onTerminal(script string) string {
	t := p.t
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
	cmd.Dir, cmd.Env = p.dir, append(p.env, "TERM=dumb")
	terminal, err := pty.Start(cmd)
	testkit.Must(t, err)
	defer terminal.Close()
	var output bytes.Buffer
	typed := 0
	buffer := make([]byte, 4096)
	for {
		n, err := terminal.Read(buffer)
		output.Write(buffer[:n])
		if asked := strings.Count(output.String(), "Password: ") + strings.Count(output.String(), "Repeat password: "); asked > typed {
			typed = asked
			_, _ = io.WriteString(terminal, password+"\n")
		}
		if err != nil { // EIO: no process has the terminal open
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, output.String())
	}
	return output.String()
}
