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
	"github.com/JDevAman/kizo/server/spans"
)

const (
	// DefaultTimeout is longer than the 5 s for which a slow bank may not answer, and shorter than
	// the 8 s that a worker has to finish when it is stopped.
	DefaultTimeout = 6 * time.Second
	maxConnections = 64
)

// ClientConfig configures a [Client].
type ClientConfig struct {
	URL     string          // http or https, with host, without query; required
	Token   string          // sent as Authorization: Bearer; empty sends none
	Timeout time.Duration   // of one call, including the wait for a connection; DefaultTimeout if 0
	Spans   *spans.Exporter // gets a span for each call; nil exports none
}

// Client is a [Bank] over HTTP. Each call is a span of the trace in its context. A client is safe
// for concurrent use, has at most 64 connections and never retries.
type Client struct {
	cfg  ClientConfig
	base *url.URL
	http *http.Client
}

var _ Bank = (*Client)(nil)

// NewClient checks the configuration. It does not contact the bank.
func NewClient(cfg ClientConfig) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" ||
		base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		// The error does not contain the URL, which may contain a password.
		return nil, errors.New("bank: URL must be http(s)://host[/path] without user, query or fragment")
	}
	if cfg.Timeout < 0 {
		return nil, errors.New("bank: timeout is negative")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	transport := &http.Transport{ // no proxy of the environment: the token must reach the bank only
		DialContext:            (&net.Dialer{Timeout: cfg.Timeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    cfg.Timeout,
		ResponseHeaderTimeout:  cfg.Timeout,
		MaxConnsPerHost:        maxConnections,
		MaxIdleConns:           maxConnections,
		MaxIdleConnsPerHost:    maxConnections,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true, // MaxBody then bounds the memory of a response
		ForceAttemptHTTP2:      true,
	}
	return &Client{cfg: cfg, base: base, http: &http.Client{
		Transport:     transport,
		Timeout:       cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes idle connections. Calls in progress continue.
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
	return readResult("submit", in, status, answer, callErr)
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
	return readResult("status", in, status, answer, callErr)
}

// Statement implements Bank.
func (c *Client) Statement(ctx context.Context, after int64, limit int) (StatementPage, error) {
	if after < 0 || limit < 1 || limit > MaxPageSize {
		err := fmt.Errorf("after must be 0 or more and limit 1 to %d", MaxPageSize)
		return StatementPage{}, &Error{Code: CodeInvalid, Op: "statement", Err: err}
	}
	target := c.base.JoinPath("v1", "statement")
	target.RawQuery = "after=" + strconv.FormatInt(after, 10) + "&limit=" + strconv.Itoa(limit)
	status, body, err := c.call(ctx, http.MethodGet, target, nil)
	if err = statusError(status, err); err != nil {
		return StatementPage{}, withOperation(err, "statement", "")
	}
	f, err := wire.Parse(body)
	if err != nil {
		return StatementPage{}, &Error{Code: CodeUnreadable, Op: "statement", HTTP: status, Err: err}
	}
	page, err := readPage(f, after, limit)
	if err != nil {
		return StatementPage{}, &Error{Code: CodeUnreadable, Op: "statement", HTTP: status, Err: err}
	}
	return page, nil
}

// readResult converts a response to an Answer. No other function makes a payment Executed or
// Rejected.
func readResult(op string, in Instruction, status int, body []byte, err error) (Answer, error) {
	if err = statusError(status, err); err != nil {
		return Answer{}, withOperation(err, op, in.Ref)
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
	if err := contradiction(in, ref, claim); err != nil {
		return Answer{}, &Error{Code: CodeContradiction, Op: op, Ref: in.Ref, HTTP: status, Claim: &claim, Err: err}
	}
	return claim, nil
}

// statusError returns an error for every status except 200.
func statusError(status int, err error) error {
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

// withOperation adds the operation and the reference to an error.
func withOperation(err error, op, ref string) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Op, e.Ref = op, ref
		return e
	}
	return &Error{Code: CodeTransport, Op: op, Ref: ref, Err: err}
}

// call sends one request and reads at most MaxBody bytes of the response, whatever its status.
func (c *Client) call(ctx context.Context, method string, target *url.URL, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, &Error{Code: CodeInvalid, Err: err}
	}
	span := trace.From(ctx).Child()
	c.setHeaders(req, span, body != nil)
	began := time.Now()
	resp, err := c.http.Do(req)
	c.cfg.Spans.Record(spanOf(req, resp, err, span, began))
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

// spanOf returns the span of a call, up to the header of its answer.
func spanOf(req *http.Request, resp *http.Response, err error, ids trace.Context, began time.Time) spans.Span {
	s := spans.Span{
		Name: "bank " + req.Method, Kind: spans.Client, Trace: ids, Began: began,
		Attributes: []spans.Attribute{spans.Text("http.request.method", req.Method), spans.Text("server.address", req.URL.Host)},
	}
	switch {
	case err != nil:
		s.Failure = transportError(0, err).Error()
	default:
		s.Attributes = append(s.Attributes, spans.Number("http.response.status_code", resp.StatusCode))
		if resp.StatusCode >= http.StatusBadRequest {
			s.Failure = http.StatusText(resp.StatusCode)
		}
	}
	return s
}

func (c *Client) setHeaders(req *http.Request, span trace.Context, hasBody bool) {
	req.Header.Set("Accept", "application/json")
	if hasBody {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	if span.Valid() {
		req.Header.Set(trace.Header, span.String())
	}
}

// transportError classifies an error of the connection.
func transportError(status int, err error) error {
	code := CodeTransport
	netErr, isNet := errors.AsType[net.Error](err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, os.ErrDeadlineExceeded) || (isNet && netErr.Timeout()) {
		code = CodeTimeout
	}
	return &Error{Code: code, HTTP: status, Err: err}
}
