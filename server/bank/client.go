package bank

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/server/bank/internal/wire"
)

const (
	// DefaultTimeout lets a bank that hangs for 5 s still answer, and is shorter
	// than the 8 s that asynq gives a worker to finish.
	DefaultTimeout = 6 * time.Second
	maxConnections = 64
)

// ClientConfig says where the bank is and how to talk to it.
type ClientConfig struct {
	URL     string        // http or https, with host, without query; required
	Token   string        // sent as Authorization: Bearer; empty sends none
	Timeout time.Duration // of one whole call, waiting for a socket included; DefaultTimeout if 0
}

// Client is a Bank over HTTP. A call is a step of its context's trace. It is safe for concurrent use, keeps at most 64
// connections and never retries: that is settlement's decision.
type Client struct {
	cfg  ClientConfig
	base *url.URL
	http *http.Client
}

var _ Bank = (*Client)(nil)

// NewClient checks the configuration; it does not contact the bank.
func NewClient(cfg ClientConfig) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" ||
		base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		// The URL is not repeated: it may hold a password.
		return nil, errors.New("bank: URL must be http(s)://host[/path] without user, query or fragment")
	}
	if cfg.Timeout < 0 {
		return nil, errors.New("bank: timeout is negative")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	transport := &http.Transport{ // no proxy from the environment: a token goes to the bank only
		DialContext:            (&net.Dialer{Timeout: cfg.Timeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    cfg.Timeout,
		ResponseHeaderTimeout:  cfg.Timeout,
		MaxConnsPerHost:        maxConnections,
		MaxIdleConns:           maxConnections,
		MaxIdleConnsPerHost:    maxConnections,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true, // 64 KiB on the wire are 64 KiB in memory
		ForceAttemptHTTP2:      true,
	}
	return &Client{cfg: cfg, base: base, http: &http.Client{
		Transport:     transport,
		Timeout:       cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close drops idle connections. Calls under way are not disturbed.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Submit implements Bank.
func (c *Client) Submit(ctx context.Context, in Instruction) (Answer, error) {
	if err := in.Validate(); err != nil {
		return Answer{}, &Error{Code: CodeInvalid, Op: "submit", Ref: in.Ref, Err: err}
	}
	body, err := json.Marshal(in)
	if err != nil {
		return Answer{}, &Error{Code: CodeInvalid, Op: "submit", Ref: in.Ref, Err: err}
	}
	status, answer, callErr := c.call(ctx, http.MethodPost, c.base.JoinPath("v1", "payments"), body)
	return settle("submit", in, status, answer, callErr)
}

// Status implements Bank.
func (c *Client) Status(ctx context.Context, in Instruction) (Answer, error) {
	if err := in.Validate(); err != nil {
		return Answer{}, &Error{Code: CodeInvalid, Op: "status", Ref: in.Ref, Err: err}
	}
	status, answer, callErr := c.call(ctx, http.MethodGet, c.base.JoinPath("v1", "payments", in.Ref), nil)
	if callErr == nil && status == http.StatusNotFound {
		return Answer{NotSeen: true}, nil
	}
	return settle("status", in, status, answer, callErr)
}

// Statement implements Bank.
func (c *Client) Statement(ctx context.Context, after int64, limit int) (Page, error) {
	if after < 0 || limit < 1 || limit > MaxPageSize {
		err := fmt.Errorf("after must be 0 or more and limit 1 to %d", MaxPageSize)
		return Page{}, &Error{Code: CodeInvalid, Op: "statement", Err: err}
	}
	target := c.base.JoinPath("v1", "statement")
	target.RawQuery = "after=" + strconv.FormatInt(after, 10) + "&limit=" + strconv.Itoa(limit)
	status, body, err := c.call(ctx, http.MethodGet, target, nil)
	if err = refine(status, err); err != nil {
		return Page{}, stamp(err, "statement", "")
	}
	f, err := wire.Parse(body)
	if err != nil {
		return Page{}, &Error{Code: CodeUnreadable, Op: "statement", HTTP: status, Err: err}
	}
	page, err := readPage(f, after, limit)
	if err != nil {
		return Page{}, &Error{Code: CodeUnreadable, Op: "statement", HTTP: status, Err: err}
	}
	return page, nil
}

// settle turns what arrived into an Answer: the one place where a payment
// becomes Executed or Rejected.
func settle(op string, in Instruction, status int, body []byte, err error) (Answer, error) {
	if err = refine(status, err); err != nil {
		return Answer{}, stamp(err, op, in.Ref)
	}
	f, err := wire.Parse(body)
	if err != nil {
		return Answer{}, &Error{Code: CodeUnreadable, Op: op, Ref: in.Ref, HTTP: status, Err: err}
	}
	ref := f.Text("ref")
	claim, err := readAnswer(f)
	if err != nil {
		return Answer{}, &Error{Code: CodeUnreadable, Op: op, Ref: in.Ref, HTTP: status, Err: err}
	}
	if err := contradicts(in, ref, claim); err != nil {
		return Answer{}, &Error{Code: CodeContradiction, Op: op, Ref: in.Ref, HTTP: status, Claim: &claim, Err: err}
	}
	return claim, nil
}

// refine makes an error of every status but 200.
func refine(status int, err error) error {
	if err != nil || status == http.StatusOK {
		return err
	}
	code := CodeHTTPStatus
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		code = CodeUnauthorized
	case http.StatusConflict:
		code = CodeConflict
	}
	return &Error{Code: code, HTTP: status}
}

func stamp(err error, op, ref string) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Op, e.Ref = op, ref
		return e
	}
	return &Error{Code: CodeTransport, Op: op, Ref: ref, Err: err}
}

// call sends one request and reads a bounded answer whatever its status.
func (c *Client) call(ctx context.Context, method string, target *url.URL, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, &Error{Code: CodeInvalid, Err: err}
	}
	c.dress(req, body != nil)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, transportError(0, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	if err != nil {
		return 0, nil, transportError(resp.StatusCode, err)
	}
	if len(data) > MaxBody {
		err := fmt.Errorf("the answer is larger than %d bytes", MaxBody)
		return 0, nil, &Error{Code: CodeUnreadable, HTTP: resp.StatusCode, Err: err}
	}
	return resp.StatusCode, data, nil
}

func (c *Client) dress(req *http.Request, hasBody bool) {
	req.Header.Set("Accept", "application/json")
	if hasBody {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	if named := trace.From(req.Context()); named.Valid() {
		req.Header.Set(trace.Header, named.Child().String())
	}
}

func transportError(status int, err error) error {
	code := CodeTransport
	netErr, isNet := errors.AsType[net.Error](err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, os.ErrDeadlineExceeded) || (isNet && netErr.Timeout()) {
		code = CodeTimeout
	}
	return &Error{Code: code, HTTP: status, Err: err}
}
