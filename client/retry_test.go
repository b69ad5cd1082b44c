package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
)

// remote is a server that answers from a script, in order, and then repeats the last answer.
type remote struct {
	*httptest.Server
	mu      sync.Mutex
	answers []http.HandlerFunc
	keys    []string // of the requests, in order
	bodies  []string
}

func newRemote(t *testing.T, answers ...http.HandlerFunc) *remote {
	t.Helper()
	r := &remote{answers: answers}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.mu.Lock()
		answer := r.answers[min(len(r.keys), len(r.answers)-1)]
		r.keys = append(r.keys, request.Header.Get("Idempotency-Key"))
		r.bodies = append(r.bodies, string(body))
		r.mu.Unlock()
		answer(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *remote) tries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.keys)
}

func says(status int, code ProblemCode, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(Problem{Code: code, Status: status, Detail: string(code)})
	}
}

func posted(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusCreated)
	fmt.Fprint(w, `{"id":"0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d","kind":"transfer","state":"posted","amount":1250,"currency":"USD",`+
		`"from":{"handle":"ada"},"to":{"handle":"bob"},"direction":"out","created_at":"2026-03-01T11:57:00Z"}`)
}

func wallets(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"items":[]}`) }

// hangsUp breaks the connection after it has read the request.
func hangsUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func page(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, "<html>")
	}
}

// dial returns a client that does not sleep, and the durations for which it would have slept.
func dial(t *testing.T, server string, tokens TokenStore) (*Client, *[]time.Duration) {
	t.Helper()
	var slept []time.Duration
	k, err := New(Config{Server: server, Tokens: tokens, Retry: RetryPolicy{
		Random: func() float64 { return 0.5 },
		Sleep: func(ctx context.Context, d time.Duration) error {
			slept = append(slept, d)
			return ctx.Err()
		},
	}})
	testkit.Must(t, err)
	return k, &slept
}

func someTransfer(t *testing.T) Command {
	t.Helper()
	c, err := NewTransfer("key-1", TransferCreate{To: "@bob", Amount: 1250, Currency: "USD"})
	testkit.Must(t, err)
	return c
}

func TestReadsAreRetriedOnlyAfterTransientErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		first http.HandlerFunc
		tries int
	}{
		{"broken connection", hangsUp, 2},
		{"408", says(408, Unavailable), 2},
		{"425", says(425, Unavailable), 2},
		{"429", says(429, Unavailable), 2},
		{"502 of a proxy", page(502), 2},
		{"503", says(503, Unavailable), 2},
		{"504 of a proxy", page(504), 2},
		{"500", says(500, Internal), 1},
		{"400", says(400, ParameterMalformed), 1},
		{"404", says(404, WalletNotFound), 1},
		{"422", says(422, InsufficientFunds), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRemote(t, test.first, wallets)
			k, _ := dial(t, r.URL, StaticToken("t"))
			_, err := k.Wallets(t.Context())
			if r.tries() != test.tries || (err == nil) != (test.tries == 2) {
				t.Errorf("%d tries, %v; want %d", r.tries(), err, test.tries)
			}
		})
	}
}

func TestRetriesHaveJitterAndRespectRetryAfter(t *testing.T) {
	r := newRemote(t, page(502), says(429, Unavailable, "Retry-After", "3"), page(502), page(502))
	k, slept := dial(t, r.URL, StaticToken("t"))
	_, err := k.Wallets(t.Context())
	if refused, ok := errors.AsType[*Error](err); !ok || refused.Status != 502 || r.tries() != 4 {
		t.Fatalf("%d tries, %v", r.tries(), err)
	}
	want := []time.Duration{100 * time.Millisecond, 3*time.Second + 200*time.Millisecond, 400 * time.Millisecond}
	if fmt.Sprint(*slept) != fmt.Sprint(want) {
		t.Errorf("slept %v, want %v", *slept, want)
	}
}

func TestLongRetryAfterIsNotWaitedFor(t *testing.T) {
	r := newRemote(t, says(429, Unavailable, "Retry-After", "3600"))
	k, slept := dial(t, r.URL, StaticToken("t"))
	_, err := k.Wallets(t.Context())
	if refused, ok := errors.AsType[*Error](err); !ok || refused.RetryAfter != time.Hour || len(*slept) != 0 || r.tries() != 1 {
		t.Errorf("%d tries, slept %v, %v", r.tries(), *slept, err)
	}
}

func TestCommandsAreRetriedWithTheSameKeyAndBody(t *testing.T) {
	r := newRemote(t, hangsUp, page(502), says(503, OutcomeUnknown), func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("Idempotency-Replayed", "true")
		posted(w, request)
	})
	k, _ := dial(t, r.URL, StaticToken("t"))
	receipt, err := k.Send(t.Context(), someTransfer(t))
	if err != nil || !receipt.Replayed || receipt.Transfer.Amount != 1250 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	for i := range r.keys {
		if r.keys[i] != "key-1" || r.bodies[i] != r.bodies[0] || r.bodies[0] == "" {
			t.Errorf("try %d: key %q, body %s", i, r.keys[i], r.bodies[i])
		}
	}
}

func TestWhetherTheOutcomeIsKnown(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers []http.HandlerFunc
		unknown bool
	}{
		{"broken every time", []http.HandlerFunc{hangsUp}, true},
		{"outcome_unknown every time", []http.HandlerFunc{says(503, OutcomeUnknown)}, true},
		{"a proxy's 504", []http.HandlerFunc{page(504)}, true},
		{"an internal error", []http.HandlerFunc{says(500, Internal)}, true},
		{"no Kizo server's yes", []http.HandlerFunc{page(200)}, true},
		{"unavailable every time", []http.HandlerFunc{says(503, Unavailable)}, false},
		{"too many requests", []http.HandlerFunc{says(429, Unavailable)}, false},
		{"refused", []http.HandlerFunc{says(422, InsufficientFunds)}, false},
		{"a redirect", []http.HandlerFunc{page(307)}, false},
		{"broken, then refused under the key", []http.HandlerFunc{hangsUp, says(422, InsufficientFunds)}, false},
		{"broken, then unavailable", []http.HandlerFunc{hangsUp, says(503, Unavailable)}, true},
		{"broken, then logged out", []http.HandlerFunc{hangsUp, says(401, SessionRevoked)}, true},
		{"broken, then a 404 that is not Kizo's", []http.HandlerFunc{hangsUp, page(404)}, true},
		{"broken, then too late to ask", []http.HandlerFunc{hangsUp, says(400, ExpiryOutOfRange)}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			command := someTransfer(t)
			for name, call := range map[string]func(*Client) error{
				"Send": func(k *Client) error { _, err := k.Send(t.Context(), command); return err },
				"Do": func(k *Client) error {
					_, err := k.Do(t.Context(), Request{Method: http.MethodPost, Path: command.Path, Body: command.Body, Key: command.Key})
					return err
				},
			} {
				r := newRemote(t, test.answers...)
				k, _ := dial(t, r.URL, StaticToken("t"))
				err := call(k)
				unknown, ok := errors.AsType[*UnknownOutcomeError](err)
				if ok != test.unknown || err == nil {
					t.Fatalf("%s: unknown %v, %v", name, !test.unknown, err)
				}
				if test.unknown && unknown.Key != "key-1" {
					t.Errorf("%s: key %q", name, unknown.Key)
				}
			}
		})
	}
}

func TestAResumedCommandStaysInDoubt(t *testing.T) {
	r := newRemote(t, says(401, SessionRevoked))
	k, _ := dial(t, r.URL, StaticToken("t"))
	command := someTransfer(t)
	command.Resumed = true
	var unknown *UnknownOutcomeError
	if _, err := k.Send(t.Context(), command); !errors.As(err, &unknown) {
		t.Errorf("%v", err)
	}
}

func TestUnreachableServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	address := "http://" + listener.Addr().String()
	listener.Close()
	k, slept := dial(t, address, StaticToken("t"))
	_, err = k.Send(t.Context(), someTransfer(t))
	unreached, ok := errors.AsType[*UnreachableError](err)
	if _, unknown := errors.AsType[*UnknownOutcomeError](err); !ok || unreached.Sent || unknown {
		t.Fatalf("%v", err)
	}
	if len(*slept) != 3 {
		t.Errorf("slept %v", *slept)
	}
}

func TestInterruptedAfterSending(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := newRemote(t, func(_ http.ResponseWriter, request *http.Request) {
		cancel()
		<-request.Context().Done()
	})
	k, _ := dial(t, r.URL, StaticToken("t"))
	_, err := k.Send(ctx, someTransfer(t))
	if _, ok := errors.AsType[*UnknownOutcomeError](err); !ok || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if r.tries() != 1 {
		t.Errorf("%d tries", r.tries())
	}
}

func TestLogInIsNotRepeated(t *testing.T) {
	r := newRemote(t, hangsUp)
	k, _ := dial(t, r.URL, new(memoryTokens))
	if _, err := k.LogIn(t.Context(), "ada", "secret secret", ""); err == nil || r.tries() != 1 {
		t.Errorf("%d tries, %v", r.tries(), err)
	}
}

// TestRefusedLogInIsRepeatedAfterRetryAfter: a log-in that the server rejected before it did
// anything is repeated after Retry-After, so that the user need not type the password again.
func TestRefusedLogInIsRepeatedAfterRetryAfter(t *testing.T) {
	for _, refusal := range []http.HandlerFunc{
		says(503, Overloaded, "Retry-After", "12"), says(429, RateLimited, "Retry-After", "12"),
	} {
		r := newRemote(t, refusal, says(401, InvalidCredentials))
		k, slept := dial(t, r.URL, new(memoryTokens))
		_, err := k.LogIn(t.Context(), "ada", "secret secret", "")
		if refused, ok := errors.AsType[*Error](err); !ok || refused.Code != InvalidCredentials || r.tries() != 2 {
			t.Errorf("%d tries, %v", r.tries(), err)
		}
		if len(*slept) != 1 || (*slept)[0] < 12*time.Second {
			t.Errorf("slept %v, want 12 s or more", *slept)
		}
	}
	r := newRemote(t, says(429, TooManyAttempts, "Retry-After", "1"))
	k, _ := dial(t, r.URL, new(memoryTokens))
	if _, err := k.LogIn(t.Context(), "ada", "secret secret", ""); err == nil || r.tries() != 1 {
		t.Errorf("too many attempts: %d tries, %v", r.tries(), err)
	}
}

// TestLogInWaitsLongerThanTheServer: a busy server may take up to a minute to check a password, so
// the client waits longer for the answer than for any other.
func TestLogInWaitsLongerThanTheServer(t *testing.T) {
	var left time.Duration
	deadline := roundTripper(func(r *http.Request) (*http.Response, error) {
		at, _ := r.Context().Deadline()
		left = time.Until(at)
		return nil, errors.New("no answer")
	})
	k, err := New(Config{Server: "http://127.0.0.1:1", Tokens: new(memoryTokens), HTTPClient: &http.Client{Transport: deadline}})
	testkit.Must(t, err)
	const server = time.Minute // HashRequestTimeout of server/auth
	if _, err := k.LogIn(t.Context(), "ada", "secret secret", ""); err == nil || left <= server {
		t.Errorf("waits for %v, %v; want more than %v", left, err, server)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAnAnswerIsBounded(t *testing.T) {
	r := newRemote(t, func(w http.ResponseWriter, _ *http.Request) {
		block := make([]byte, 1<<20)
		for range 6 {
			_, _ = w.Write(block)
		}
	})
	k, _ := dial(t, r.URL, StaticToken("t"))
	if _, err := k.Wallets(t.Context()); err == nil {
		t.Error("an answer of 6 MiB was accepted")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                              0,
		"3":                             3 * time.Second,
		"-3":                            0,
		"99999999":                      24 * time.Hour,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT": 0,
		"soon":                          0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
