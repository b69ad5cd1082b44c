package main

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// nginxFile is the configuration for operators.
const nginxFile = "../../deploy/nginx/kizo.conf"

// startNginxBefore runs nginx with deploy/nginx/kizo.conf before these processes, on a free port.
func startNginxBefore(t *testing.T, urls ...string) (url string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("SKIPPED: nginx is not installed (apt-get install nginx-light)")
	}
	text, err := os.ReadFile(nginxFile)
	testkit.Must(t, err)
	p := &environment{t: t, dir: t.TempDir()}
	certificate, key := filepath.Join(p.dir, "cert.pem"), filepath.Join(p.dir, "key.pem")
	testkit.WriteCertificate(t, certificate, key, time.Now().Add(time.Hour))
	port := itoa(pgtest.FreePort(t))
	var servers strings.Builder
	for _, u := range urls {
		servers.WriteString("server " + strings.TrimPrefix(u, "http://") + " fail_timeout=5s;\n")
	}
	for _, pair := range [][2]string{
		{"listen 443 ssl", "listen 127.0.0.1:" + port + " ssl"}, {"server 127.0.0.1:7420 fail_timeout=5s;", servers.String()},
		{"/etc/nginx/wallet.example.pem", certificate}, {"/etc/nginx/wallet.example.key", key},
	} {
		if !strings.Contains(string(text), pair[0]) {
			t.Fatalf("%s has no %q", nginxFile, pair[0])
		}
		text = []byte(strings.ReplaceAll(string(text), pair[0], pair[1]))
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root; "
	}
	config := "daemon off; worker_processes 1; pid nginx.pid; error_log stderr; " + user + "\nevents {}\nhttp {\naccess_log off;\n" + string(text) + "}\n"
	testkit.Must(t, os.WriteFile(filepath.Join(p.dir, "nginx.conf"), []byte(config), 0o600))
	p.child(exec.CommandContext(context.WithoutCancel(t.Context()), program, "-p", p.dir, "-c", "nginx.conf"))
	address := "127.0.0.1:" + port
	testkit.Eventually(t, "nginx listens", func() bool {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // the test made the certificate
		return err == nil && conn.Close() == nil
	})
	return "https://" + address
}

// received collects the transfers that a user sees in the event stream.
type received struct {
	mu  sync.Mutex
	ids map[uuid.UUID]bool
}

func (r *received) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}

// follow reads events until ctx ends. After a disconnect it continues after the last event.
func (r *received) follow(ctx context.Context, c *client.Client, live chan<- struct{}) {
	since, reported := "", false
	for ctx.Err() == nil {
		stream, err := c.Events(ctx, client.EventOptions{Since: since})
		if err != nil {
			continue
		}
		for {
			e, err := stream.Next()
			if err != nil {
				break
			}
			if e.ID != "" {
				since = e.ID
			}
			switch {
			case e.Type == client.EventTransfer:
				r.mu.Lock()
				r.ids[e.Transfer.Id] = true
				r.mu.Unlock()
			case e.Type == client.EventLive && !reported:
				reported = true
				live <- struct{}{}
			}
		}
		_ = stream.Close()
	}
}

// Clients of nginx before two kizod go on while one of them is killed: kizo's client sends every
// transfer once, and a follower of events misses none.
func TestNginxBeforeTwoKizod(t *testing.T) {
	t.Parallel()
	const senders, each, killAfter = 4, 25, 30
	k := startTwoKizods(t)
	url := startNginxBefore(t, k.url(0), k.url(1))
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // the test made the certificate
	through := &http.Client{Transport: transport, Timeout: 40 * time.Second}
	t.Cleanup(through.CloseIdleConnections)
	alice, bob := signUp(t, through, url, "alice"), signUp(t, through, url, "bob")
	if o, err := deposit(alice, 100_00).send(through, url, 20); err != nil || o.state != "posted" {
		t.Fatalf("deposit: %+v, %v", o, err)
	}
	as := func(p *person) *client.Client {
		c, err := client.New(client.Config{Server: url, Tokens: client.StaticToken(p.token), HTTPClient: through})
		testkit.Must(t, err)
		return c
	}

	seen, live := &received{ids: map[uuid.UUID]bool{}}, make(chan struct{}, 1)
	following, stop := context.WithCancel(t.Context())
	var followers sync.WaitGroup
	followers.Go(func() { seen.follow(following, as(bob), live) })
	defer followers.Wait()
	defer stop()
	testkit.Receive(t, "the stream is live", live)

	var (
		posted atomic.Int64
		begun  = make(chan struct{})
		once   sync.Once
		all    sync.WaitGroup
	)
	for range senders {
		all.Go(func() {
			c := as(alice)
			for range each {
				command, err := client.NewTransfer(client.NewKey(), client.TransferCreate{Amount: 1_00, Currency: "USD", To: "@bob"})
				if err != nil {
					t.Error(err)
					return
				}
				receipt, err := c.Send(t.Context(), command)
				if err != nil || receipt.Transfer.State != "posted" {
					t.Errorf("a transfer failed: %+v, %v", receipt, err)
				}
				if posted.Add(1) == killAfter {
					once.Do(func() { close(begun) })
				}
			}
		})
	}
	testkit.Receive(t, "some transfers are posted", begun)
	k.first.crashes()
	all.Wait()
	testkit.Eventually(t, "the follower has every transfer", func() bool { return seen.count() == senders*each })
	if w, err := bob.wallet(through, url); err != nil || w.Balance != senders*each*1_00 {
		t.Errorf("bob has %+v, %v", w, err)
	}
}
