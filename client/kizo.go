package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config says which server, and as whom. Only Server is required.
type Config struct {
	Server     string // http or https, as in "https://kizo.example"
	Tokens     TokenStore
	HTTPClient *http.Client
	UserAgent  string
	Retry      RetryPolicy
	Timeout    time.Duration // for one attempt, on top of what it asks the server to wait; 10 s if zero
	Now        func() time.Time
}

// Kizo is a server as one user sees it. It may be used by many goroutines.
type Kizo struct {
	server    string // ends in a slash, because the generated builders append to it
	tokens    TokenStore
	http      *http.Client
	userAgent string
	retry     RetryPolicy
	timeout   time.Duration
	now       func() time.Time
}

// New checks the configuration; it does not connect.
func New(config Config) (*Kizo, error) {
	server, err := CleanServer(config.Server)
	if err != nil {
		return nil, err
	}
	k := &Kizo{
		server:    server + "/",
		tokens:    config.Tokens,
		userAgent: config.UserAgent,
		retry:     config.Retry.withDefaults(),
		timeout:   config.Timeout,
		now:       config.Now,
	}
	if k.tokens == nil {
		k.tokens = StaticToken("")
	}
	if k.timeout == 0 {
		k.timeout = 10 * time.Second
	}
	if k.now == nil {
		k.now = time.Now
	}
	base := config.HTTPClient
	if base == nil {
		base = &http.Client{}
	}
	own := *base
	// A redirect would carry a payment somewhere its sender never named.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	k.http = &own
	return k, nil
}

// Server is the address, without a slash at the end.
func (k *Kizo) Server() string { return strings.TrimSuffix(k.server, "/") }

// CleanServer gives the one spelling of a server's address that tokens are kept under.
func CleanServer(text string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return "", errors.New("the server's address is not a URL: type one such as http://127.0.0.1:7420")
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return "", fmt.Errorf("the server's address %q needs a scheme and a host: type one such as http://127.0.0.1:7420", text)
	case u.User != nil:
		return "", errors.New("the server's address must not hold a password: log in instead")
	case u.RawQuery != "", u.Fragment != "":
		return "", fmt.Errorf("the server's address %q must end before ? and #", text)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u.String(), nil
}
