package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

// ownServer reports whether the user's own settings name the server that a .kizo.toml chose.
func (c *config) ownServer() bool {
	own, err := client.CleanServer(c.OwnServer)
	return err == nil && own == c.Server.Value
}

// confirmServer refuses to send a password to a server that only a .kizo.toml names: another person
// may have written that file. A server that the user has logged in to before is trusted. On a
// terminal, the user can confirm the server; the session that follows remembers it.
func (a *app) confirmServer(ctx context.Context) error {
	config, err := a.config()
	if err != nil {
		return err
	}
	if config.Server.Kind != fromProject || config.ownServer() {
		return nil
	}
	stored, err := a.sessions(config.Server.Value)
	if err != nil {
		return err
	}
	held, err := stored.Load(ctx)
	if err != nil {
		return err
	}
	if held != (client.Credentials{}) {
		return nil
	}
	if a.io.ReadLine != nil {
		a.io.note("%s chose the server %s, and you have not logged in there before.",
			printable.Text(config.Server.Origin), printable.Text(config.Server.Value))
		answer, err := a.io.ReadLine(ctx, "Send your password to it? Type yes: ")
		if err != nil {
			return err
		}
		if saysYes(answer) {
			return nil
		}
	}
	return withHint(usagef("a password is not sent to %s, which %s chose, unless you name that server yourself",
		config.Server.Value, config.Server.Origin), a.commandLine()+" --server "+shellQuote(config.Server.Value))
}

// checkTransport refuses to send a password or a token unencrypted over a network.
func (a *app) checkTransport(server string) error {
	if !unencryptedRemote(server) {
		return nil
	}
	if allowed, err := a.insecureHTTP(); err != nil || allowed {
		return err
	}
	return withHint(usagef("passwords and tokens would be sent to %s unencrypted", server),
		a.withServer("https://"+strings.TrimPrefix(server, "http://")), a.commandLine()+" --insecure-http (if you trust that network)")
}

// insecureHTTP reports whether the user allows unencrypted connections to other computers.
func (a *app) insecureHTTP() (bool, error) {
	text := a.env("KIZO_INSECURE_HTTP")
	if a.insecureFlag || text == "" {
		return a.insecureFlag, nil
	}
	allowed, err := strconv.ParseBool(text)
	if err != nil {
		return false, usagef("KIZO_INSECURE_HTTP is %q: it must be 1 or 0", text)
	}
	return allowed, nil
}

// unencryptedRemote reports whether a server is reached over plain HTTP and is not on this computer
// (RFC 6761 §6.3 reserves localhost for it).
func unencryptedRemote(server string) bool {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" {
		return false
	}
	return !loopback(u.Hostname())
}

func loopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// httpClient returns the client of all requests of this process.
func (a *app) httpClient() (*http.Client, error) {
	if a.http != nil {
		return a.http, nil
	}
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, fmt.Errorf("the default transport is a %T", http.DefaultTransport)
	}
	transport = transport.Clone()
	transport.OnProxyConnectResponse = refusalOfProxy
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if path := config.CAFile.Value; path != "" {
		transport.TLSClientConfig.RootCAs, err = authorities(path)
		if err != nil {
			return nil, usagef("%s: %w", config.CAFile.Origin, err)
		}
	}
	a.http = &http.Client{Transport: &changeRecorder{transport, a.changed}}
	return a.http, nil
}

// changeRecorder notes that a request that may change something was sent: one that does not only
// read, or refresh the session.
type changeRecorder struct {
	http.RoundTripper
	changed *atomic.Bool
}

func (r *changeRecorder) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet && request.URL.Path != "/v1/auth/refresh" {
		r.changed.Store(true)
	}
	return r.RoundTripper.RoundTrip(request)
}

// CloseIdleConnections closes those of the transport.
func (r *changeRecorder) CloseIdleConnections() {
	if t, ok := r.RoundTripper.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// authorities returns the system's certificates and those in a file.
func authorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read ca_file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s contains no PEM certificate", path)
	}
	return pool, nil
}

// proxyError is the answer of a proxy that refuses to connect.
type proxyError struct {
	proxy  string
	status string
}

func (e *proxyError) Error() string { return "the proxy " + e.proxy + " answered " + e.status }

func refusalOfProxy(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy.Host, answer.Status}
}
