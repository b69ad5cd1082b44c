package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/JDevAman/kizo/client"
)

const showOrigin = "kizo config list --show-origin"

// nextOfUnreachable returns what to type when no answer arrived. The kind of the network error
// decides.
func (a *app) nextOfUnreachable(u *client.UnreachableError) []string {
	var (
		certificate *tls.CertificateVerificationError
		proxy       *proxyError
		dial        *net.OpError
	)
	switch {
	case errors.As(u.Err, &certificate):
		return a.nextOfCertificate(u.Server, certificate)
	case errors.Is(u.Err, http.ErrSchemeMismatch):
		return []string{a.withServer("http" + strings.TrimPrefix(u.Server, "https"))}
	case errors.As(u.Err, &proxy), errors.As(u.Err, &dial) && dial.Op != "dial" && proxyOf(u.Server) != "":
		return []string{a.withoutProxy(u.Server), "env | grep -i _proxy"}
	case errors.As(u.Err, &dial) && dial.Op == "dial" && isLoopback(u.Server):
		return []string{"kizod dev (if no server runs there)", showOrigin}
	}
	return []string{showOrigin}
}

func (a *app) nextOfCertificate(server string, err *tls.CertificateVerificationError) []string {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown):
		return []string{a.commandLine() + " --ca-file CERTIFICATE.pem (if the server has its own certificate authority)"}
	case errors.As(err, &name) && len(name.Certificate.DNSNames) > 0:
		return []string{a.withServer(withHost(server, name.Certificate.DNSNames[0])) + " (if that is the server)"}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return []string{"date (if this computer's clock is right, the server's operator must renew its certificate)"}
	}
	return []string{showOrigin}
}

// nextOfForeignAnswer returns what to type after an error response that is not Kizo's.
func (a *app) nextOfForeignAnswer(refused *client.Error) []string {
	config, err := a.config()
	if err != nil {
		return nil
	}
	server := config.Server.Value
	switch {
	case refused.Location != "":
		return []string{a.withServer(baseOf(refused.Location)) + " (if you trust that server)"}
	case refused.Status == http.StatusBadRequest && strings.HasPrefix(server, "http:"):
		return []string{a.withServer("https"+strings.TrimPrefix(server, "http")) + " (if it speaks HTTPS)"}
	case proxyOf(server) != "":
		return []string{a.withoutProxy(server) + " (the proxy " + proxyOf(server) + " may be what answered)"}
	}
	return []string{showOrigin}
}

// nextOfNotKizo returns what to type after a response that looks like a success but is not Kizo's.
func (a *app) nextOfNotKizo(wrong *client.ProtocolError) []string {
	if proxy := proxyOf(wrong.Server); proxy != "" {
		return []string{a.withoutProxy(wrong.Server) + " (the proxy " + proxy + " may be what answered)", showOrigin}
	}
	return []string{showOrigin}
}

// baseOf returns the server of an API address: the part before /v1/.
func baseOf(address string) string {
	if i := strings.LastIndex(address, "/v1/"); i >= 0 {
		return address[:i]
	}
	return address
}

func withHost(server, host string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server
	}
	if port := u.Port(); port != "" {
		host = net.JoinHostPort(host, port)
	}
	u.Host = host
	return u.String()
}

func isLoopback(server string) bool {
	u, err := url.Parse(server)
	return err == nil && loopback(u.Hostname())
}

// proxyOf returns the host of the proxy that the environment names for a server, without its
// password; empty if there is none.
func proxyOf(server string) string {
	request, err := http.NewRequest(http.MethodGet, server, nil) //nolint:noctx // it is not sent
	if err != nil {
		return ""
	}
	proxy, err := http.ProxyFromEnvironment(request)
	if err != nil || proxy == nil {
		return ""
	}
	return proxy.Host
}

// withoutProxy returns the command line with the server exempt from proxies.
func (a *app) withoutProxy(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return showOrigin
	}
	return "NO_PROXY=" + shellQuote(u.Hostname()) + " " + a.commandLine()
}

// withServer returns the command line with another server.
func (a *app) withServer(server string) string {
	const flag = "--server"
	better := *a
	better.args = slices.Clone(a.args)
	for i, arg := range better.args {
		if strings.HasPrefix(arg, flag+"=") {
			better.args[i] = flag + "=" + server
			return better.commandLine()
		}
		if arg == flag && i+1 < len(better.args) {
			better.args[i+1] = server
			return better.commandLine()
		}
	}
	better.args = append(better.args, flag, server)
	return better.commandLine()
}
