package server_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// caller sends requests from one local address, as a client or as a proxy of clients.
type caller struct {
	t         *testing.T
	url       string
	client    *http.Client
	forwarded func() string // the value of X-Forwarded-For; no header when nil
}

func newCaller(t *testing.T, url, from string, forwarded func() string) *caller {
	t.Helper()
	transport := &http.Transport{
		DialContext:     (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the test made the certificate
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{t, url, &http.Client{Transport: transport, Timeout: 30 * time.Second}, forwarded}
}

func (c *caller) do(method, path, token string, body any) answer {
	c.t.Helper()
	encoded, err := json.Marshal(body)
	testkit.Must(c.t, err)
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, bytes.NewReader(encoded))
	testkit.Must(c.t, err)
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if c.forwarded != nil {
		request.Header.Set("X-Forwarded-For", c.forwarded())
		request.Header.Set("X-Real-Ip", c.forwarded())
		request.Header.Set("Forwarded", "for="+c.forwarded())
	}
	response, err := c.client.Do(request)
	testkit.Must(c.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	testkit.Must(c.t, err)
	return answer{response.StatusCode, response.Header, string(content)}
}

// guess sends a log-in with a wrong password, for a login that depends on n.
func (c *caller) guess(n int) answer {
	return c.do(http.MethodPost, "/v1/auth/login", "", map[string]string{"login": fmt.Sprint("target", n), "password": "wrong password"})
}

// guessUntilRefused returns how many guesses were answered before one was throttled. Each guess is
// for another account, so only the address is counted.
func (c *caller) guessUntilRefused() int {
	c.t.Helper()
	for n := range 60 {
		if a := c.guess(n); a.status == http.StatusTooManyRequests {
			return n
		}
	}
	c.t.Fatal("60 guesses from one address were not throttled")
	return 0
}

// logsIn logs a user in and returns the address of the new session.
func (c *caller) logsIn(handle string) (address string) {
	c.t.Helper()
	a := c.do(http.MethodPost, "/v1/auth/login", "", map[string]string{"login": handle, "password": password})
	token, _ := a.field("access_token").(string)
	if token == "" {
		c.t.Fatalf("%s cannot log in: %d %s", handle, a.status, a.body)
	}
	var list openapi.SessionList
	testkit.Must(c.t, json.Unmarshal([]byte(c.do(http.MethodGet, "/v1/sessions", token, nil).body), &list))
	for _, s := range list.Items {
		if s.Current && s.Address != nil {
			address = *s.Address
		}
	}
	return address
}

// rotating returns a function that puts another address before the fixed ones at each call.
func rotating(fixed ...string) func() string {
	n := 0
	return func() string {
		n++
		return strings.Join(append([]string{fmt.Sprintf("198.51.100.%d", n%250)}, fixed...), ", ")
	}
}

func fixed(text string) func() string { return func() string { return text } }

// Each client behind a trusted proxy counts as an address of its own. What a client itself writes
// into the header has no effect.
func TestThrottleBehindAProxy(t *testing.T) {
	t.Parallel()
	c := config(t, pgtest.New(t).AppURL)
	proxies, err := api.ParseTrustedProxies("127.0.0.1")
	testkit.Must(t, err)
	c.TrustedProxies = proxies
	s := start(t, c)
	signUp(t, s.URL(), "alice")
	attacker := newCaller(t, s.URL(), "127.0.0.1", rotating("203.0.113.7"))
	t.Logf("a client behind the proxy is refused after %d guesses", attacker.guessUntilRefused())
	if got := newCaller(t, s.URL(), "127.0.0.1", fixed("203.0.113.8")).logsIn("alice"); got != "203.0.113.8" {
		t.Errorf("the session came from %q", got)
	}
	direct := newCaller(t, s.URL(), "127.0.0.9", rotating())
	t.Logf("a client without a proxy is refused after %d guesses", direct.guessUntilRefused())
}

// The rate limit of an address applies to the client behind a proxy, not to the proxy.
func TestRateLimitBehindAProxy(t *testing.T) {
	t.Parallel()
	c, _ := redisConfig(t, pgtest.New(t))
	c.RateLimitAddress = 4
	proxies, err := api.ParseTrustedProxies("127.0.0.1")
	testkit.Must(t, err)
	c.TrustedProxies = proxies
	s := start(t, c)
	busy, quiet := newCaller(t, s.URL(), "127.0.0.1", rotating("203.0.113.7")), newCaller(t, s.URL(), "127.0.0.1", fixed("203.0.113.8"))
	refused, _ := untilRefused(t, func() answer { return busy.do(http.MethodGet, "/v1/me", "no.good.token", nil) })
	wantRefused(t, refused, http.StatusTooManyRequests, "rate_limited")
	if a := quiet.do(http.MethodGet, "/v1/me", "no.good.token", nil); a.status != http.StatusUnauthorized {
		t.Errorf("another client behind the proxy gets %d %s", a.status, a.body)
	}
}

// The nginx configuration in deploy/nginx works, with other ports and paths.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	nginx := findNginx(t)
	c := config(t, pgtest.New(t).AppURL)
	proxies, err := api.ParseTrustedProxies("127.0.0.1")
	testkit.Must(t, err)
	c.TrustedProxies = proxies
	s := start(t, c)
	url := startNginx(t, nginx, s)
	for _, handle := range []string{"alice", "bob"} {
		a := newCaller(t, url, "127.0.0.4", nil).do(http.MethodPost, "/v1/auth/signup", "", map[string]string{
			"email": handle + "@example.com", "handle": handle, "name": "Some User", "password": password,
		})
		authenticated(t, url, handle, a)
	}
	for _, attacker := range []*caller{newCaller(t, url, "127.0.0.2", nil), newCaller(t, url, "127.0.0.3", rotating())} {
		t.Logf("refused after %d guesses", attacker.guessUntilRefused())
	}
	if a := newCaller(t, url, "127.0.0.7", nil).do(http.MethodPost, "/v1/transfers", "", strings.Repeat("x", 300<<10)); a.status != http.StatusRequestEntityTooLarge || a.field("code") != nil {
		t.Errorf("a body of 300 KiB is answered with %d by kizod: %s", a.status, a.body)
	}
	if a := newCaller(t, url, "127.0.0.7", fixed(strings.Repeat("203.0.113.7, ", 2000))).do(http.MethodGet, "/v1/me", "", nil); a.status != http.StatusBadRequest {
		t.Errorf("a header of 26 KB is answered with %d", a.status)
	}
	if policy := newCaller(t, url, "127.0.0.7", nil).do(http.MethodGet, "/openapi.yaml", "", nil).header.Get("Strict-Transport-Security"); policy == "" {
		t.Error("answers have no Strict-Transport-Security")
	}
	for from, handle := range map[string]string{"127.0.0.5": "alice", "127.0.0.6": "bob"} {
		if got := newCaller(t, url, from, fixed("203.0.113.7")).logsIn(handle); got != from {
			t.Errorf("the session of %s came from %q, want %s", handle, got, from)
		}
	}
}

func findNginx(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		if _, err = os.Stat("/usr/sbin/nginx"); err != nil {
			t.Skip("nginx is not installed (apt-get install nginx-light): deploy/nginx is not tested here")
		}
		path = "/usr/sbin/nginx"
	}
	return path
}

// startNginx runs nginx with deploy/nginx/kizo.conf on a free port.
func startNginx(t *testing.T, nginx string, s *server.Server) (url string) {
	t.Helper()
	dir := t.TempDir()
	port := strconv.Itoa(pgtest.FreePort(t))
	certificate, key := filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem")
	testkit.WriteCertificate(t, certificate, key, time.Now().Add(time.Hour))
	text, err := os.ReadFile("../deploy/nginx/kizo.conf")
	testkit.Must(t, err)
	site := string(text)
	for old, replacement := range map[string]string{
		"listen 443 ssl;": "listen 127.0.0.1:" + port + " ssl;", "127.0.0.1:7420": strings.TrimPrefix(s.URL(), "http://"),
		"/etc/nginx/wallet.example.pem": certificate, "/etc/nginx/wallet.example.key": key,
	} {
		if !strings.Contains(site, old) {
			t.Fatalf("kizo.conf has no %q", old)
		}
		site = strings.ReplaceAll(site, old, replacement)
	}
	var temporary strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	file := filepath.Join(dir, "nginx.conf")
	testkit.Must(t, os.WriteFile(file, fmt.Appendf(nil, "daemon off;\nmaster_process off;\npid %s;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n%s%s}\n",
		filepath.Join(dir, "pid"), temporary.String(), site), 0o600))
	var output bytes.Buffer
	cmd := exec.Command(nginx, "-p", dir, "-c", file)
	cmd.Stdout, cmd.Stderr = &output, &output
	testkit.Must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("nginx: %s", output.String())
		}
	})
	testkit.Eventually(t, "nginx accepts connections", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx ended: %v", err)
		default:
		}
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return "https://127.0.0.1:" + port
}
