package main

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
)

// overTLS returns a server with a certificate that no system trusts, and the file of its authority.
func overTLS(t *testing.T, handler http.Handler) (*httptest.Server, string) {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	testkit.Must(t, os.WriteFile(path, text, 0o600))
	return server, path
}

var noWallets = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"items":[]}`) })

func TestCertificateAuthorityFromFile(t *testing.T) {
	server, ca := overTLS(t, noWallets)
	w := newWorld(t, server)
	w.expect(exitFailure, "balance")
	testkit.Contains(t, w.err.String(), "certificate", "--ca-file ")
	lacks(t, w, "kizod dev")

	w.expect(exitDone, "balance", "--ca-file", ca)
	w.env["KIZO_CA_FILE"] = ca
	w.expect(exitDone, "balance")
	delete(w.env, "KIZO_CA_FILE")
	// In a configuration file, a relative path is relative to the file.
	text, err := os.ReadFile(ca)
	testkit.Must(t, err)
	w.write("config/kizo/own.pem", string(text))
	config := w.write("config/kizo/config.toml", `ca_file = "own.pem"`)
	w.expect(exitDone, "balance")
	w.expect(exitDone, "config", "list", "--show-origin")
	testkit.Contains(t, w.out.String(), "ca_file\t"+filepath.Join(filepath.Dir(config), "own.pem")+"\t"+config)

	empty := w.write("empty.pem", "nothing here")
	w.expect(exitUsage, "balance", "--ca-file", empty)
	testkit.Contains(t, w.err.String(), empty, "contains no PEM certificate")
	w.expect(exitUsage, "balance", "--ca-file", filepath.Join(w.dir, "missing.pem"))
	testkit.Contains(t, w.err.String(), "missing.pem")
}

func TestACertificateForAnotherName(t *testing.T) {
	server, ca := overTLS(t, noWallets)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	w := newWorld(t, nil)
	w.env["KIZO_TOKEN"] = "token"
	w.expect(exitFailure, "balance", "--ca-file", ca, "--server", "https://localhost:"+port)
	testkit.Contains(t, w.err.String(), "example.com") // the name that is in the certificate
	lacks(t, w, "kizod dev")
	lacks(t, w, "--ca-file CERTIFICATE")
}

// TestHTTPAndHTTPSConfused: the error says which of the two the server speaks.
func TestHTTPAndHTTPSConfused(t *testing.T) {
	encrypted, _ := overTLS(t, noWallets)
	plain := httptest.NewServer(noWallets)
	defer plain.Close()
	w := newWorld(t, nil)
	w.env["KIZO_TOKEN"] = "token"
	for typed, right := range map[string]string{
		"http://" + encrypted.Listener.Addr().String(): encrypted.URL,
		"https://" + plain.Listener.Addr().String():    plain.URL,
	} {
		w.expect(exitFailure, "balance", "--server", typed)
		testkit.Contains(t, w.err.String(), "--server "+right)
		lacks(t, w, "kizod dev")
	}
}

// TestARedirectIsNamedAndNotFollowed: a password or a token is only sent to the server that the
// user named.
func TestARedirectIsNamedAndNotFollowed(t *testing.T) {
	reached := make(chan string, 100)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.URL.Path }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/kizo"+r.URL.Path, status)
		}))
		defer server.Close()
		w := newWorld(t, server)
		w.stdin = "correct horse battery\n"
		for _, args := range [][]string{{"balance"}, {"transfer", "@bob", "1", "USD"}, {"events"}, {"login", "ada", "--password-stdin"}} {
			w.env["KIZO_TOKEN"] = "token"
			if args[0] == "login" {
				w.env["KIZO_TOKEN"] = ""
			}
			w.expect(exitFailure, args...)
			testkit.Contains(t, w.err.String(), "redirects to "+other.URL+"/kizo/v1/", "--server "+other.URL+"/kizo")
			lacks(t, w, "kizod dev")
		}
	}
	if len(reached) > 0 {
		t.Errorf("followed to %s", <-reached)
	}
}

// TestAdviceFitsTheNetwork: the kind of the network error decides which hint is shown.
func TestAdviceFitsTheNetwork(t *testing.T) {
	closed := "http://" + closedPort(t)
	w := newWorld(t, nil)
	w.env["KIZO_TOKEN"] = "token"
	w.expect(exitFailure, "balance", "--server", closed)
	testkit.Contains(t, w.err.String(), "refused", "kizod dev")
	w.expect(exitFailure, "balance", "--server", "https://no..such.host") // fails without asking a resolver
	testkit.Contains(t, w.err.String(), "kizo config list --show-origin")
	lacks(t, w, "kizod dev")

	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Welcome") }))
	defer page.Close()
	w.expect(exitFailure, "balance", "--server", page.URL)
	testkit.Contains(t, w.err.String(), "does not answer like a Kizo server", "kizo config list --show-origin")
	lacks(t, w, "kizod dev")
}

// TestAProxyInBetweenIsNamed if it is down, requires a password or refuses.
func TestAProxyInBetweenIsNamed(t *testing.T) {
	answers := func(line string) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		testkit.Must(t, err)
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = http.ReadRequest(bufio.NewReader(connection))
				fmt.Fprint(connection, line+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				connection.Close()
			}
		}()
		return listener.Addr().String()
	}
	dir := t.TempDir()
	for name, proxy := range map[string]string{
		"down":     closedPort(t),
		"password": answers("HTTP/1.1 407 Proxy Authentication Required"),
		"refusal":  answers("HTTP/1.1 403 Forbidden"),
	} {
		for _, server := range []string{"https://kizo.invalid", "http://kizo.invalid"} {
			t.Run(name+" "+server, func(t *testing.T) {
				command := exec.CommandContext(t.Context(), "kizo", "balance", "--server", server, "--insecure-http")
				command.Env = append(os.Environ(), "XDG_STATE_HOME="+dir, "XDG_CONFIG_HOME="+dir, "KIZO_TOKEN=token",
					"HTTPS_PROXY=http://ada:secret@"+proxy, "HTTP_PROXY=http://ada:secret@"+proxy, "NO_PROXY=", "no_proxy=", "https_proxy=", "http_proxy=")
				out, _ := command.CombinedOutput()
				text := string(out)
				if command.ProcessState.ExitCode() != exitFailure || !strings.Contains(text, proxy) || !strings.Contains(text, "NO_PROXY=kizo.invalid") {
					t.Errorf("exit code %d: %s", command.ProcessState.ExitCode(), text)
				}
				if strings.Contains(text, "secret") || strings.Contains(text, "kizod dev") {
					t.Errorf("%s", text)
				}
			})
		}
	}
}

// TestAnExpiredCertificate: the hint names the computer's clock and the server's operator.
func TestAnExpiredCertificate(t *testing.T) {
	certificate, ca := certificateUntil(t, time.Now().Add(-time.Hour))
	server := httptest.NewUnstartedServer(noWallets)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	w := newWorld(t, nil)
	w.env["KIZO_TOKEN"] = "token"
	w.expect(exitFailure, "balance", "--ca-file", ca, "--server", server.URL)
	testkit.Contains(t, w.err.String(), "expired", "date")
	lacks(t, w, "kizod dev")
}

func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func lacks(t *testing.T, w *world, unwanted string) {
	t.Helper()
	if strings.Contains(w.err.String(), unwanted) {
		t.Errorf("%q is in\n%s", unwanted, &w.err)
	}
}
