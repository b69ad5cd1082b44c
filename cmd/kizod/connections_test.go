package main

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/listener"
)

// serveEnv returns the environment of serve, with addresses of a bank and a Redis that do not run.
func serveEnv(t *testing.T) []string {
	t.Helper()
	secrets := filepath.Join(t.TempDir(), "secrets", "secrets.json")
	if code, output := run(t, nil, "secrets", "init", "--secrets-file", secrets); code != 0 {
		t.Fatalf("secrets init: exit %d\n%s", code, output)
	}
	return []string{
		"KIZO_DATABASE_URL=" + pgtest.New(t).AppURL, "KIZO_REDIS_URL=redis://127.0.0.1:1/0", "KIZO_BANK_URL=http://127.0.0.1:1",
		"KIZO_SECRETS_FILE=" + secrets, "KIZO_LISTEN=127.0.0.1:0", "KIZO_OPS_LISTEN=127.0.0.1:0", "KIZO_LOG_FORMAT=json",
	}
}

// clientFrom returns a client that sends each request on a new connection from that address.
func clientFrom(from string) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext,
	}}
}

// wantStatus sends a request on a new connection from an address, and returns how long it took.
func wantStatus(t *testing.T, from, method, url string, want int) time.Duration {
	t.Helper()
	began := time.Now()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	testkit.Must(t, err)
	response, err := clientFrom(from).Do(request)
	if err != nil {
		t.Errorf("from %s: %v", from, err)
		return 0
	}
	defer response.Body.Close()
	if response.StatusCode != want {
		t.Errorf("from %s: %s %s: status %d, want %d", from, method, url, response.StatusCode, want)
	}
	return time.Since(began)
}

// silent holds connections on which nothing is sent.
type silent struct {
	mu    sync.Mutex
	conns []net.Conn
}

// connect opens n connections from 127.0.0.1, eight at a time, and returns how many were opened.
// The server need not accept every connection.
func (s *silent) connect(t *testing.T, url string, n int) (opened int) {
	t.Helper()
	t.Cleanup(s.close)
	address := strings.TrimPrefix(url, "http://")
	work := make(chan struct{})
	var dialers sync.WaitGroup
	for range 8 {
		dialers.Go(func() {
			dialer := net.Dialer{Timeout: 10 * time.Second} // the default address is 127.0.0.1; binding one is slow with many ports in use
			for range work {
				conn, err := dialer.DialContext(context.Background(), "tcp", address)
				if err != nil {
					continue
				}
				s.mu.Lock()
				s.conns = append(s.conns, conn)
				opened++
				s.mu.Unlock()
			}
		})
	}
	for range n {
		work <- struct{}{}
	}
	close(work)
	dialers.Wait()
	return opened
}

func (s *silent) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		_ = conn.Close()
	}
	s.conns = nil
}

// With 512 file descriptors and 700 silent connections on each of its listeners, kizod and the mock
// bank still answer.
func TestMoreConnectionsThanFileDescriptors(t *testing.T) {
	t.Parallel()
	const descriptors, connections = 512, 700
	file := filepath.Join(t.TempDir(), "ready.json")
	p := startWithDescriptors(t, descriptors, serveEnv(t), "serve", "--ready-file", file)
	ready := p.ready(file)
	bank, bankURL := startBankWith(t, func(env []string, args ...string) *process {
		return startWithDescriptors(t, descriptors, env, args...)
	}, filepath.Join(t.TempDir(), "bank.jsonl"), "KIZO_BANK_TOKEN="+canary)
	var idle silent
	for _, url := range []string{ready.URL, ready.OpsURL, bankURL} {
		opened := idle.connect(t, url, connections)
		t.Logf("%d silent connections to %s", opened, url)
	}
	for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
		wantStatus(t, from, http.MethodGet, ready.URL+"/v1/me", http.StatusUnauthorized)
		wantStatus(t, from, http.MethodGet, ready.OpsURL+"/readyz", http.StatusOK)
		wantStatus(t, from, http.MethodGet, ready.OpsURL+"/metrics", http.StatusOK)
		wantStatus(t, from, http.MethodGet, bankURL+"/healthz", http.StatusOK)
	}
	signUp(t, newClient(), ready.URL, "alice") // this needs a connection to the database
	idle.close()
	p.stops()
	bank.stops()
}

// floodSize returns 20,000, or as many as the file descriptors of this process allow.
func floodSize() int {
	const wanted, own = 20_000, 600
	if limit := listener.Descriptors(); limit > 0 {
		return min(wanted, limit-own)
	}
	return wanted
}

// One address opens 20,000 connections and sends nothing. New connections from the same and from
// other addresses are served, and so are those of operators and the bank.
//
// The test does not run in parallel, since it uses most file descriptors of the process.
func TestFloodOfConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("20,000 connections")
	}
	file := filepath.Join(t.TempDir(), "ready.json")
	p := start(t, serveEnv(t), "serve", "--ready-file", file)
	ready := p.ready(file)
	var flood silent
	opened := flood.connect(t, ready.URL, floodSize())
	var slowest time.Duration
	const newClients = 20
	for range newClients {
		for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
			slowest = max(slowest, wantStatus(t, from, http.MethodGet, ready.URL+"/v1/me", http.StatusUnauthorized),
				wantStatus(t, from, http.MethodGet, ready.URL+"/v1/ops/payments", http.StatusUnauthorized),
				wantStatus(t, from, http.MethodPost, ready.URL+"/v1/bank/callbacks", http.StatusUnauthorized))
		}
	}
	wantStatus(t, "127.0.0.1", http.MethodGet, ready.OpsURL+"/readyz", http.StatusOK)
	t.Logf("%d connections of one address; %d new clients served, the slowest after %v", opened, 6*newClients, slowest)
	if opened < floodSize()*9/10 {
		t.Errorf("only %d of %d connections were opened", opened, floodSize())
	}
	flood.close()
	p.stops()
}

// Unencrypted connections are refused at the start, unless a flag accepts them.
func TestPlainTransport(t *testing.T) {
	t.Parallel()
	env := serveEnv(t)
	plainBank := append([]string{"KIZO_BANK_TOKEN=" + canary}, env...)
	for name, c := range map[string]struct {
		env, args []string
		want      string
	}{
		"every address":        {env, []string{"serve", "--listen", "0.0.0.0:0"}, "API listens beyond loopback"},
		"a bank with a token":  {plainBank, []string{"serve", "--bank-url", "http://bank.example"}, "its token can be read"},
		"dev on every address": {nil, []string{"dev", "--listen", ":0", "--data", filepath.Join(t.TempDir(), "data")}, "API listens beyond loopback"},
		"a remote database":    {[]string{"KIZO_DATABASE_URL=postgres://kizo_app:" + canary + "@192.0.2.1/kizo?connect_timeout=1"}, []string{"audit"}, "PostgreSQL may be unencrypted"},
		"migrating it":         {[]string{"KIZO_MIGRATE_URL=postgres://kizo_owner:" + canary + "@192.0.2.1/kizo?connect_timeout=1"}, []string{"migrate"}, "PostgreSQL may be unencrypted"},
		"a database with TLS":  {[]string{"KIZO_DATABASE_URL=postgres://kizo_app:" + canary + "@192.0.2.1/kizo?connect_timeout=1&sslmode=verify-full"}, []string{"audit"}, ""},
	} {
		code, output := run(t, c.env, c.args...)
		if code != exitError {
			t.Errorf("%s: exit %d\n%s", name, code, output)
		}
		testkit.Contains(t, output, c.want)
		if c.want == "" && strings.Contains(output, "unencrypted") || strings.Contains(output, canary) {
			t.Errorf("%s: %s", name, output)
		}
	}
	file := filepath.Join(t.TempDir(), "ready.json")
	p := start(t, env, "serve", "--listen", "0.0.0.0:0", "--i-accept-plain-text-passwords", "--ready-file", file)
	wantStatus(t, "127.0.0.1", http.MethodGet, p.ready(file).URL+"/v1/me", http.StatusUnauthorized)
	testkit.Contains(t, p.out.String(), "API listens beyond loopback")
	p.stops()
}
