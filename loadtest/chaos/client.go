package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// client sends requests to the API and classifies the answers. Unlike package client it never
// retries by itself, because each attempt is checked.
type client struct {
	system *system
	http   *http.Client
	found  *findings
	base   string // URL of the API; empty: any API that is running
}

// Some clients wait longer than the ledger's timeout, and so receive its error; others
// give up sooner, so that one stopped kizod does not keep all of them waiting.
const (
	longTimeout  = 12 * time.Second
	shortTimeout = 2 * time.Second
)

func newClient(h *system) *client {
	return &client{system: h, found: h.found, http: &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     5 * time.Second,
		},
	}}
}

// answer is a response that was read to its end.
type answer struct {
	status   int
	kind     string // media type
	replayed bool
	body     []byte
}

var errNoAPI = errors.New("no API is running")

// do sends one request to one of the APIs. sent reports whether it may have arrived.
func (c *client) do(ctx context.Context, method, path, token, key string, body []byte) (got *answer, sent bool, err error) {
	within := shortTimeout
	if rand.IntN(4) == 0 { //nolint:gosec // no secret
		within = longTimeout
	}
	return c.doWithin(ctx, within, method, path, token, key, body)
}

// doWithin is do with a timeout that the caller chooses.
func (c *client) doWithin(ctx context.Context, within time.Duration, method, path, token, key string, body []byte) (got *answer, sent bool, err error) {
	url := c.base
	if url == "" {
		url = c.system.anyAPI()
	}
	if url == "" {
		return nil, false, errNoAPI
	}
	var reader io.Reader = http.NoBody
	if body != nil {
		reader = bytes.NewReader(body)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url+path, reader) //nolint:gosec // our own kizod
	if err != nil {
		return nil, false, err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		// net/http repeats a request with this header on a new connection by itself. It does not
		// recognize the lower-case spelling.
		request.Header["idempotency-key"] = []string{key}
	}
	response, err := c.http.Do(request) //nolint:gosec // our own kizod
	if err != nil {
		dial, ok := errors.AsType[*net.OpError](err)
		return nil, !ok || dial.Op != "dial", err
	}
	defer response.Body.Close()
	contents, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, true, err
	}
	return &answer{
		response.StatusCode, response.Header.Get("Content-Type"),
		response.Header.Get("Idempotency-Replayed") == "true", contents,
	}, true, nil
}

// anyAPI returns the URL of a running API, or "".
func (h *system) anyAPI() string {
	up := h.apis()
	if len(up) == 0 {
		return ""
	}
	return up[rand.IntN(len(up))] //nolint:gosec // no secret
}

// apis returns the URLs of all running APIs.
func (h *system) apis() (up []string) {
	for _, d := range h.daemons {
		if url := d.apiURL(); url != "" && d.role == "api" {
			up = append(up, url)
		}
	}
	return up
}

// send makes one attempt at an operation and adds it to the history.
func (c *client) send(ctx context.Context, h *history, o *operation) attempt {
	a := attempt{Began: h.now()}
	got, sent, err := c.do(ctx, http.MethodPost, o.path, o.user.token(), o.key, o.body)
	a.Ended = h.now()
	switch {
	case err != nil && !sent:
		a.Outcome, a.Note = failed, err.Error()
	case err != nil:
		a.Outcome, a.Note = unknown, err.Error()
	default:
		c.classify(o, got, &a)
	}
	o.record(a)
	h.learn(o, a)
	return a
}

// money is the part of a transfer that the checks read.
type money struct {
	ID       uuid.UUID `json:"id"`
	Kind     string    `json:"kind"`
	State    string    `json:"state"`
	Amount   int64     `json:"amount"` // money that moved, once the transfer is posted
	Currency string    `json:"currency"`

	Authorized *int64 `json:"authorized_amount"` // of an authorization: the requested amount
}

// problem is the part of an error response that the checks read.
type problem struct {
	Type       string     `json:"type"`
	Title      string     `json:"title"`
	Status     int        `json:"status"`
	Code       string     `json:"code"`
	Detail     string     `json:"detail"`
	RequestID  string     `json:"request_id"`
	TransferID *uuid.UUID `json:"transfer_id"`
}

func (t problem) complete(status int) bool {
	return t.Type != "" && t.Title != "" && t.Status == status && t.Code != "" && t.Detail != "" && t.RequestID != ""
}

// classify reads an answer as a careful client does. An answer that no client can interpret is
// a violation.
func (c *client) classify(o *operation, got *answer, a *attempt) {
	a.Status, a.Replayed = got.status, got.replayed
	if got.status == http.StatusCreated || got.status == http.StatusAccepted {
		var m money
		if err := json.Unmarshal(got.body, &m); err != nil || m.ID == uuid.Nil || m.State == "" || m.Currency != currency {
			c.found.add("http", "the answer is not a transfer: %d %s\n%s", got.status, got.body, o)
			a.Outcome = unknown
			return
		}
		a.Outcome, a.Transfer, a.Kind, a.State, a.Amount = accepted, m.ID, m.Kind, m.State, m.Amount
		if o.kind == authorize && m.Authorized != nil {
			a.Amount = *m.Authorized // a partial capture does not change this amount
		}
		return
	}
	p, ok := c.problem(got, o.String)
	if !ok {
		a.Outcome = unknown
		return
	}
	a.Code = p.Code
	switch {
	case p.TransferID != nil && got.status == http.StatusUnprocessableEntity:
		a.Outcome, a.Transfer = refused, *p.TransferID
	case p.Code == "outcome_unknown":
		a.Outcome = unknown
	case got.status >= 500 && p.Code != "unavailable":
		a.Outcome = unknown
	case p.Code == "unavailable", slices.Contains(harmless, p.Code):
		a.Outcome = failed
	default:
		a.Outcome = failed
		c.found.add("http", "the operation does not explain the answer: %d %s\n%s", got.status, got.body, o)
	}
}

// harmless are the refusals that are not stored and that these clients may cause.
var harmless = []string{"idempotency_key_reused"}

// problem reads an error response. 503 is the only 5xx status that faults may cause.
func (c *client) problem(got *answer, asked func() string) (p problem, ok bool) {
	if !strings.HasPrefix(got.kind, "application/problem+json") || json.Unmarshal(got.body, &p) != nil || !p.complete(got.status) {
		c.found.add("http", "the answer is not a well-formed problem: %d %s %s\n%s", got.status, got.kind, got.body, asked())
		return p, false
	}
	if got.status >= 500 && got.status != http.StatusServiceUnavailable {
		c.found.add("http", "%d %s\n%s", got.status, got.body, asked())
	}
	return p, true
}

// must repeats a request until its status is below 300, and decodes the answer into out. It is
// for the start and the end of a run, when there are no faults.
func (c *client) must(ctx context.Context, method, path, token string, body, out any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		// A password takes longer on a busy machine than the clients' timeouts, and a
		// second sign-up finds the handle taken by the first.
		got, _, err := c.doWithin(ctx, startWithin/2, method, path, token, "", text)
		if err == nil && got.status < 300 {
			if out == nil {
				return nil
			}
			return json.Unmarshal(got.body, out)
		}
		if err == nil {
			err = fmt.Errorf("%d %s", got.status, got.body)
		}
		if rig.Pause(ctx, 200*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
}
