package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// LoadCertificate reads a certificate with its chain, and its private key, in PEM. It returns nil
// without an error if both names are "". It refuses a key that every user of the host may read, and
// a certificate that has expired.
func LoadCertificate(certificateFile, keyFile string) (*tls.Certificate, error) {
	switch {
	case certificateFile == "" && keyFile == "":
		return nil, nil //nolint:nilnil // no certificate is configured
	case certificateFile == "" || keyFile == "":
		return nil, errors.New("tls_cert and tls_key belong together: set both or neither")
	}
	info, err := os.Stat(keyFile)
	if err != nil {
		return nil, fmt.Errorf("tls_key: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("tls_key: others may read %s (mode %04o); run: chmod o= %s", keyFile, info.Mode().Perm(), keyFile)
	}
	certificate, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("tls_cert %s, tls_key %s: %w", certificateFile, keyFile, err)
	}
	if certificate.Leaf == nil {
		if certificate.Leaf, err = x509.ParseCertificate(certificate.Certificate[0]); err != nil {
			return nil, fmt.Errorf("tls_cert %s: %w", certificateFile, err)
		}
	}
	if end := certificate.Leaf.NotAfter; end.Before(time.Now()) {
		return nil, fmt.Errorf("tls_cert %s: it expired on %s", certificateFile, end.UTC().Format(time.DateTime))
	}
	return &certificate, nil
}

// certificates has the certificate in use. It is also the collector of its metric.
type certificates struct {
	current atomic.Pointer[tls.Certificate]
}

var certificateEnd = prometheus.NewDesc("kizo_tls_certificate_expiry_timestamp_seconds",
	"When the certificate of the API's listener expires, in seconds since 1970. Absent without TLS.", nil, nil)

func (c *certificates) Describe(to chan<- *prometheus.Desc) { to <- certificateEnd }

func (c *certificates) Collect(to chan<- prometheus.Metric) {
	if certificate := c.current.Load(); certificate != nil {
		to <- prometheus.MustNewConstMetric(certificateEnd, prometheus.GaugeValue, float64(certificate.Leaf.NotAfter.Unix()))
	}
}

// config returns the settings of TLS, or nil if there is no certificate. Connections that are open
// keep the certificate of their handshake.
func (c *certificates) config() *tls.Config {
	if c.current.Load() == nil {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

// CheckCertificate returns the error that UseCertificate would return.
func (s *Server) CheckCertificate(certificate *tls.Certificate) error {
	if (certificate == nil) != (s.certificates.current.Load() == nil) {
		return errors.New("tls_cert: TLS is turned on or off by a restart only")
	}
	return nil
}

// UseCertificate replaces the certificate of the API's listener. It returns an error, and changes
// nothing, if that would turn TLS on or off.
func (s *Server) UseCertificate(certificate *tls.Certificate) error {
	if err := s.CheckCertificate(certificate); err != nil {
		return err
	}
	s.certificates.current.Store(certificate)
	return nil
}
