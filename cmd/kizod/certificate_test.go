package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
)

// SIGHUP reloads the certificate. One that is wrong is refused, and the old one stays in use.
func TestHangupReloadsTheCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate, key, ready := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ready.json")
	testkit.WriteCertificate(t, certificate, key, time.Now().Add(time.Hour))
	p := start(t, serveEnv(t), "serve", "--roles", "api,auth", "--ready-file", ready, "--listen", "0.0.0.0:0", "--tls-cert", certificate, "--tls-key", key)
	url := p.ready(ready).URL
	hangUp := func(result string) {
		t.Helper()
		seen := strings.Count(p.out.String(), result)
		p.signal(syscall.SIGHUP)
		testkit.Eventually(t, result, func() bool { return strings.Count(p.out.String(), result) > seen })
	}
	verified := func() error {
		pem, err := os.ReadFile(certificate)
		testkit.Must(t, err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), &tls.Config{RootCAs: roots})
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	testkit.Must(t, verified())
	testkit.WriteCertificate(t, certificate, key, time.Now().Add(2*time.Hour))
	if verified() == nil {
		t.Error("it presents the new certificate before SIGHUP")
	}
	hangUp("SIGHUP: reloaded")
	testkit.Must(t, verified())
	testkit.Must(t, os.Chmod(key, 0o644))
	hangUp("SIGHUP: not reloaded")
	testkit.Contains(t, p.out.String(), "chmod o=")
	testkit.Must(t, verified())
	if code, output := run(t, validEnv(t), "config", "check", "--tls-cert", certificate, "--tls-key", key); code != exitError || !strings.Contains(output, "chmod o=") {
		t.Errorf("config check: exit %d, %s", code, output)
	}
}
