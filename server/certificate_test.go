package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// newCertificate writes a certificate and its key, and loads them.
func newCertificate(t *testing.T) (certificate *tls.Certificate, certificateFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certificateFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	testkit.WriteCertificate(t, certificateFile, keyFile, time.Now().Add(time.Hour))
	certificate, err := server.LoadCertificate(certificateFile, keyFile)
	testkit.Must(t, err)
	return certificate, certificateFile, keyFile
}

// presented returns the certificate of a new connection.
func presented(t *testing.T, url string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), &tls.Config{InsecureSkipVerify: true})
	testkit.Must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A kizod with a certificate serves TLS alone, beyond loopback, too. Requests, event streams and
// refusals are those of plain HTTP. Another certificate is used without a restart.
func TestTLS(t *testing.T) {
	t.Parallel()
	first, _, _ := newCertificate(t)
	second, _, _ := newCertificate(t)
	c := config(t, pgtest.New(t).AppURL)
	var logged logBuffer
	c.Listen, c.Certificate, c.Logger = "0.0.0.0:0", first, slog.New(slog.NewTextHandler(&logged, nil))
	s := start(t, c)
	if !strings.HasPrefix(s.URL(), "https://127.0.0.1:") {
		t.Fatalf("its URL is %s", s.URL())
	}
	alice := newCaller(t, s.URL(), "127.0.0.1", nil)
	a := alice.do(http.MethodPost, "/v1/auth/signup", "", map[string]string{"email": "alice@example.com", "handle": "alice", "name": "Some User", "password": password})
	token := authenticated(t, s.URL(), "alice", a).token
	if a := alice.do(http.MethodPost, "/v1/transfers", token, strings.Repeat("x", 5<<20)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of 5 MiB is answered with %d", a.status)
	}
	testkit.Contains(t, mustGet(t, s.OpsURL()+"/metrics").body, fmt.Sprintln("kizo_tls_certificate_expiry_timestamp_seconds", float64(first.Leaf.NotAfter.Unix())))

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/v1/events", http.NoBody)
	testkit.Must(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	stream, err := alice.client.Transport.RoundTrip(request)
	testkit.Must(t, err)
	defer stream.Body.Close()
	lines := bufio.NewReader(stream.Body)
	if line, err := lines.ReadString('\n'); err != nil || stream.StatusCode != http.StatusOK {
		t.Errorf("the event stream begins with %d %q, %v", stream.StatusCode, line, err)
	}

	if got := presented(t, s.URL()).ConnectionState().PeerCertificates[0]; !got.Equal(first.Leaf) {
		t.Error("it does not present its certificate")
	}
	testkit.Must(t, s.UseCertificate(second))
	if got := presented(t, s.URL()).ConnectionState().PeerCertificates[0]; !got.Equal(second.Leaf) {
		t.Error("it does not present the new certificate")
	}
	if a := alice.do(http.MethodGet, "/v1/me", token, nil); a.status != http.StatusOK {
		t.Errorf("after the change: %d %s", a.status, a.body)
	}
	if err := s.UseCertificate(nil); err == nil {
		t.Error("TLS was turned off without a restart")
	}

	if a, err := get("http://" + strings.TrimPrefix(s.URL(), "https://") + "/v1/me"); err == nil && a.status == http.StatusUnauthorized {
		t.Error("it serves plain HTTP, too")
	}
	if _, err := tls.Dial("tcp", strings.TrimPrefix(s.URL(), "https://"), &tls.Config{MinVersion: tls.VersionTLS12}); err == nil { // the client tells the server so
		t.Error("a client without its certificate trusts it")
	}
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", strings.TrimPrefix(s.URL(), "https://"), old); err == nil {
		_ = conn.Close()
		t.Error("it accepts TLS 1.1")
	}
	testkit.Must(t, s.Close()) // the stream does not delay it
	for err == nil {
		_, err = lines.ReadString('\n')
	}
	if text := logged.String(); strings.Contains(text, "level=ERROR") {
		t.Errorf("clients without TLS, or that do not trust it, cause errors in the log:\n%s", text)
	}
}

// A client that connects and does not finish its handshake is disconnected, like one that sends no
// request.
func TestUnfinishedHandshake(t *testing.T) {
	t.Parallel()
	certificate, _, _ := newCertificate(t)
	c := config(t, pgtest.New(t).AppURL)
	c.Certificate = certificate
	s := start(t, c)
	conn := dial(t, s)
	_, err := conn.Write([]byte{22, 3, 1, 0, 200}) // the header of a handshake record, without its content
	testkit.Must(t, err)
	testkit.Must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	if n, err := conn.Read(make([]byte, 100)); err == nil || os.IsTimeout(err) {
		t.Errorf("after a minute, the connection is open: %d bytes, %v", n, err)
	}
}

func TestCertificatesThatAreRefused(t *testing.T) {
	t.Parallel()
	_, certificateFile, keyFile := newCertificate(t)
	_, otherFile, publicKey := newCertificate(t)
	testkit.Must(t, os.Chmod(publicKey, 0o644))
	for _, c := range []struct{ certificate, key, want string }{
		{certificateFile, "", "belong together"},
		{"", keyFile, "belong together"},
		{certificateFile, keyFile + ".absent", "tls_key: stat"},
		{keyFile, keyFile, "tls_cert " + keyFile},
		{otherFile, keyFile, "does not match"},
		{otherFile, publicKey, "chmod o="},
	} {
		if _, err := server.LoadCertificate(c.certificate, c.key); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if certificate, err := server.LoadCertificate("", ""); certificate != nil || err != nil {
		t.Errorf("without names: %v, %v", certificate, err)
	}
	expired := filepath.Join(t.TempDir(), "cert.pem")
	testkit.WriteCertificate(t, expired, expired+".key", time.Now().Add(-time.Hour))
	if _, err := server.LoadCertificate(expired, expired+".key"); err == nil || !strings.Contains(err.Error(), "expired on") {
		t.Errorf("an expired one: %v", err)
	}
}
