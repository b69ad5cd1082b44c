package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/openapi"
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

	requestID string
}

// call is a request to the API. A token, a key and a body are sent where they are not empty.
type call struct {
	method, path, token, key string
	body                     []byte
	timeout                  time.Duration // 0: any of the two above
}

// do sends one request to one of the APIs. sent reports whether it may have arrived.
func (c *client) do(ctx context.Context, q call) (got *answer, sent bool, err error) {
	url := cmp.Or(c.base, c.system.anyAPI())
	if url == "" {
		return nil, false, errors.New("no API is running")
	}
	if q.timeout == 0 {
		q.timeout = []time.Duration{longTimeout, shortTimeout, shortTimeout, shortTimeout}[rand.IntN(4)] //nolint:gosec // no secret
	}
	var reader io.Reader = http.NoBody
	if q.body != nil {
		reader = bytes.NewReader(q.body)
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, q.method, url+q.path, reader) //nolint:gosec // our own kizod
	if err != nil {
		return nil, false, err
	}
	request.Header.Set("Content-Type", "application/json")
	if q.token != "" {
		request.Header.Set("Authorization", "Bearer "+q.token)
	}
	if q.key != "" {
		// net/http repeats a request with this header on a new connection by itself. It does not
		// recognize the lower-case spelling.
		request.Header["idempotency-key"] = []string{q.key}
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
		response.Header.Get("Idempotency-Replayed") == "true", contents, response.Header.Get("X-Request-Id"),
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

// send makes one attempt at an operation, with its atomic batch if it has one, and adds it to the
// history.
func (c *client) send(ctx context.Context, h *history, o *operation) attempt {
	if o.atomic != nil {
		return c.sendBatch(ctx, h, o.atomic, true)[slices.Index(o.atomic, o)]
	}
	a := attempt{Began: h.now()}
	got, sent, err := c.do(ctx, call{method: http.MethodPost, path: o.path, token: o.user.token(), key: o.key, body: encode(o.fields)})
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

// sendBatch makes one attempt at transfers of one user in one request.
func (c *client) sendBatch(ctx context.Context, h *history, batch []*operation, atomic bool) []attempt {
	rows := make([]map[string]any, len(batch))
	for i, o := range batch {
		rows[i] = maps.Clone(o.fields)
		rows[i]["idempotency_key"] = o.key
	}
	body := encode(map[string]any{"atomic": atomic, "transfers": rows})
	began := h.now()
	got, sent, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/transfers/batch", token: batch[0].user.token(), body: body})
	var results struct {
		Results []struct {
			Status   int             `json:"status"`
			Replayed bool            `json:"replayed"`
			Transfer json.RawMessage `json:"transfer"`
			Problem  *openapi.Problem
		} `json:"results"`
	}
	if err == nil && got.status == http.StatusOK && (json.Unmarshal(got.body, &results) != nil || len(results.Results) != len(batch)) {
		c.found.add("http", "the answer has not one result for each transfer: %s", got.body)
		err = errors.New("malformed answer")
	}
	attempts := make([]attempt, len(batch))
	for i, o := range batch {
		a := attempt{Began: began, Ended: h.now()}
		switch {
		case err != nil && !sent:
			a.Outcome, a.Note = failed, err.Error()
		case err != nil:
			a.Outcome, a.Note = unknown, err.Error()
		case got.status != http.StatusOK:
			c.classify(o, got, &a)
		default:
			r := results.Results[i]
			row := &answer{status: r.Status, kind: "application/json", replayed: r.Replayed, body: r.Transfer}
			if r.Problem != nil {
				r.Problem.RequestId = &got.requestID
				row.kind, row.body = "application/problem+json", encode(r.Problem)
			}
			c.classify(o, row, &a)
		}
		o.record(a)
		h.learn(o, a)
		attempts[i] = a
	}
	return attempts
}

// classify reads an answer as a careful client does. An answer that no client can interpret is
// a violation.
func (c *client) classify(o *operation, got *answer, a *attempt) {
	a.Status, a.Replayed = got.status, got.replayed
	if got.status == http.StatusCreated || got.status == http.StatusAccepted {
		var m openapi.Transfer
		if err := json.Unmarshal(got.body, &m); err != nil || m.Id == uuid.Nil || m.State == "" || m.Currency != currency {
			c.found.add("http", "the answer is not a transfer: %d %s\n%s", got.status, got.body, o)
			a.Outcome = unknown
			return
		}
		a.Outcome, a.Transfer, a.Kind, a.State, a.Amount = accepted, m.Id, string(m.Kind), string(m.State), m.Amount
		if o.kind == authorize && m.AuthorizedAmount != nil {
			a.Amount = *m.AuthorizedAmount // a partial capture does not change this amount
		}
		return
	}
	p, ok := c.problem(got, o.String)
	if !ok {
		a.Outcome = unknown
		return
	}
	a.Code = string(p.Code)
	switch {
	case p.TransferId != nil && got.status == http.StatusUnprocessableEntity:
		a.Outcome, a.Transfer = refused, *p.TransferId
	case p.Code == "outcome_unknown":
		a.Outcome = unknown
	case got.status >= 500 && p.Code != "unavailable":
		a.Outcome = unknown
	case p.Code == "unavailable", p.Code == "idempotency_key_reused": // refusals that are not stored
		a.Outcome = failed
	default:
		a.Outcome = failed
		c.found.add("http", "the operation does not explain the answer: %d %s\n%s", got.status, got.body, o)
	}
}

// problem reads an error response. 503 is the only 5xx status that faults may cause.
func (c *client) problem(got *answer, asked func() string) (p openapi.Problem, ok bool) {
	if !strings.HasPrefix(got.kind, "application/problem+json") || json.Unmarshal(got.body, &p) != nil ||
		p.Type == "" || p.Title == "" || p.Status != got.status || p.Code == "" || p.Detail == "" || p.RequestId == nil || *p.RequestId == "" {
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
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	var last string
	err := rig.Poll(ctx, 200*time.Millisecond, func() (bool, error) {
		// A password takes longer on a busy machine than the clients' timeouts, and a
		// second sign-up finds the handle taken by the first.
		got, _, err := c.do(ctx, call{method: method, path: path, token: token, body: encode(body), timeout: startWithin / 2})
		switch {
		case err != nil:
			last = err.Error()
		case got.status < 300:
			return true, json.Unmarshal(got.body, out)
		default:
			last = fmt.Sprintf("%d %s", got.status, got.body)
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", method, path, err, last)
	}
	return nil
}
