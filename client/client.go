package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config configures a Client. Only Server is required.
type Config struct {
	Server     string // http or https, as in "https://kizo.example"
	Tokens     TokenStore
	Devices    DeviceTokens // nil: none is kept
	HTTPClient *http.Client
	UserAgent  string
	Retry      RetryPolicy
	Timeout    time.Duration // of one attempt, in addition to Command.Wait; 10 s if zero
	Now        func() time.Time

	// StepUp is called when a request needs a code of the second factor first (StepUpRequired),
	// outside of Timeout and the retries. If it returns nil, after a successful call of
	// [Client.StepUp], the request is sent again, else its error is that of the request. Only one
	// call is made at a time. Without it, the error is the refusal.
	StepUp func(ctx context.Context, c *Client, refused *Error) error
}

// Client calls one Kizo server as one user. Its methods are safe for concurrent use.
type Client struct {
	server    string // ends in a slash, so that paths can be resolved against it
	tokens    TokenStore
	devices   DeviceTokens // may be nil
	http      *http.Client
	userAgent string
	retry     RetryPolicy
	timeout   time.Duration
	now       func() time.Time
	stepUps   *stepUps
}

// New checks the configuration and returns a Client. It does not connect.
func New(config Config) (*Client, error) {
	server, err := CleanServer(config.Server)
	if err != nil {
		return nil, err
	}
	c := &Client{
		server:    server + "/",
		tokens:    config.Tokens,
		devices:   config.Devices,
		userAgent: config.UserAgent,
		retry:     config.Retry.withDefaults(),
		timeout:   config.Timeout,
		now:       config.Now,
		stepUps:   &stepUps{ask: config.StepUp},
	}
	if c.tokens == nil {
		c.tokens = StaticToken("")
	}
	if c.timeout == 0 {
		c.timeout = 10 * time.Second
	}
	if c.now == nil {
		c.now = time.Now
	}
	base := config.HTTPClient
	if base == nil {
		base = &http.Client{}
	}
	own := *base
	// Following a redirect would send a payment to a server that the caller did not name.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &own
	return c, nil
}

// Server returns the address of the server, without a slash at the end.
func (c *Client) Server() string { return strings.TrimSuffix(c.server, "/") }

// CleanServer returns the canonical form of a server's address. Token stores use it as the key.
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
