package main

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
)

func TestDoctorChecksTheCertificate(t *testing.T) {
	w := newWorld(t, nil)
	until := func(end time.Time) client.About {
		return client.About{TLS: &tls.ConnectionState{Version: tls.VersionTLS13, PeerCertificates: []*x509.Certificate{{NotAfter: end}}}}
	}
	for name, test := range map[string]struct {
		server string
		about  client.About
		state  string
	}{
		"this computer":         {"http://127.0.0.1:7420", client.About{}, findingOK},
		"unencrypted elsewhere": {"http://kizo.example", client.About{}, findingWarning},
		"a year":                {"https://kizo.example", until(w.now.AddDate(1, 0, 0)), findingOK},
		"a week":                {"https://kizo.example", until(w.now.AddDate(0, 0, 7)), findingWarning},
	} {
		f := w.app().checkTLS(test.server, test.about)
		if f.State != test.state || (test.state == findingOK) != (len(f.Fix) == 0) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// TestDoctorSaysWhatToDo checks that each line that is not ok has a fix.
func TestDoctorSaysWhatToDo(t *testing.T) {
	w := newWorld(t, newFakeServer(t).Server)
	w.env["SHELL"] = "/bin/bash"
	w.now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	w.kizo("doctor", "--jq", `.[] | select(.state != "ok" and (.fix | length) == 0) | .check`)
	if w.out.Len() > 0 {
		t.Errorf("without a fix: %s", &w.out)
	}
}
