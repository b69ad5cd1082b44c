package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/ledger"
)

// user is a user with a session and a USD wallet.
type user struct {
	id              ledger.UserID
	handle          string
	access, refresh string
	wallet          string
}

// ask is one request. A body of type string is sent as it is, any other as JSON.
type ask struct {
	method, path string
	token        string
	key          string
	body         any
	headers      map[string]string
}

// answer is the response to an ask.
type answer struct {
	t      testing.TB
	ask    ask
	status int
	header http.Header
	body   []byte
}

// do sends a request and checks the response against the contract.
func (h *fixture) do(a ask) *answer {
	h.t.Helper()
	got, err := h.try(h.t.Context(), a)
	if err != nil {
		h.t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	return got
}

func (h *fixture) try(ctx context.Context, a ask) (*answer, error) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(ctx, a.method, h.url+a.path, a.reader(h.t))
	if err != nil {
		return nil, err
	}
	if a.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.key != "" {
		request.Header.Set("Idempotency-Key", a.key)
	}
	for name, value := range a.headers {
		request.Header.Set(name, value)
	}
	response, err := h.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	got := &answer{h.t, a, response.StatusCode, response.Header, body}
	checkContract(h.t, request, got)
	return got, nil
}

func (a ask) reader(t testing.TB) io.Reader {
	t.Helper()
	switch body := a.body.(type) {
	case nil:
		return nil
	case string:
		return strings.NewReader(body)
	case io.Reader:
		return body
	default:
		raw, err := json.Marshal(body)
		testkit.Must(t, err)
		return bytes.NewReader(raw)
	}
}

func (h *fixture) get(u *user, path string) *answer {
	h.t.Helper()
	return h.do(ask{method: "GET", path: path, token: u.access})
}

// post sends a request with a new idempotency key.
func (h *fixture) post(u *user, path string, body any) *answer {
	h.t.Helper()
	return h.do(ask{method: "POST", path: path, token: u.access, key: uuid.NewString(), body: body})
}

type fields map[string]any

// pay returns the body of a transfer in USD.
func pay(to *user, amount int64) fields {
	return fields{"to": "@" + to.handle, "amount": amount, "currency": "USD"}
}

func (f fields) with(name string, value any) fields {
	more := fields{name: value}
	for n, v := range f {
		if n != name {
			more[n] = v
		}
	}
	return more
}

func (h *fixture) signUp(handle string) *user {
	h.t.Helper()
	tokens := read[openapi.Tokens](h.do(ask{method: "POST", path: "/v1/auth/signup", body: fields{
		"email": handle + "@example.com", "handle": handle, "name": "Name of " + handle, "password": password,
	}}).want(201))
	u := &user{id: ledger.UserID(tokens.User.Id), handle: handle, access: tokens.AccessToken, refresh: tokens.RefreshToken}
	h.log.keepOut(u.access, u.refresh)
	u.wallet = h.wallet(u).Id.String()
	h.verifyEmail(u)
	return u
}

// verifyEmail marks the user's e-mail address as verified, without waiting for the lease of caches.
func (h *fixture) verifyEmail(u *user) {
	h.t.Helper()
	h.asOwner(`UPDATE users SET email_verified_at = now() WHERE id = $1`, u.id)
}

// pair returns two users: alice has so much money, bob has none.
func (h *fixture) pair(funds int64) (alice, bob *user) {
	h.t.Helper()
	alice, bob = h.signUp("alice"), h.signUp("bob")
	h.fund(alice, funds)
	return alice, bob
}

func (h *fixture) fund(u *user, minor int64) {
	h.t.Helper()
	opened := read[openapi.Transfer](h.post(u, "/v1/deposits", fields{"amount": minor, "currency": "USD"}).want(202))
	h.settle(opened.Id, true)
}

func (h *fixture) settle(transfer uuid.UUID, executed bool) {
	h.t.Helper()
	_, err := h.ledger.Settle(h.t.Context(), ledger.Settlement{Transfer: transfer, Executed: executed})
	testkit.Must(h.t, err)
}

func (h *fixture) wallet(u *user) openapi.Wallet {
	h.t.Helper()
	list := read[openapi.WalletList](h.get(u, "/v1/wallets").want(200))
	for _, w := range list.Items {
		if w.Currency == "USD" {
			return w
		}
	}
	h.t.Fatal("no USD wallet")
	return openapi.Wallet{}
}

func (h *fixture) wantBalance(u *user, balance, held int64) {
	h.t.Helper()
	w := h.wallet(u)
	if w.Balance != balance || w.Held != held || w.Available != balance-held {
		h.t.Errorf("@%s has %d, %d of it held, %d available; want %d and %d", u.handle, w.Balance, w.Held, w.Available, balance, held)
	}
}

func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s %s: status %d, want %d\n%s", a.ask.method, a.ask.path, a.status, status, a.body)
	}
	return a
}

// wantProblem checks the code and status of a problem, and the fields that every problem has.
func (a *answer) wantProblem(code openapi.ProblemCode) openapi.Problem {
	a.t.Helper()
	p := read[openapi.Problem](a)
	if p.Code != code {
		a.t.Errorf("%s %s %.80v: code %s, want %s: %s", a.ask.method, a.ask.path, a.ask.body, p.Code, code, p.Detail)
	}
	status := api.Statuses[code]
	if a.status != status || p.Status != status {
		a.t.Errorf("%s: status %d, in the body %d, want %d", code, a.status, p.Status, status)
	}
	testkit.Equal(a.t, "media type", a.header.Get("Content-Type"), "application/problem+json")
	if p.Detail == "" || p.Type == "" || p.Title == "" || p.RequestId == nil || *p.RequestId != a.header.Get("X-Request-Id") {
		a.t.Errorf("%s: incomplete: %s", code, a.body)
	}
	return p
}

func (a *answer) replayed() bool { return a.header.Get("Idempotency-Replayed") == "true" }

// read decodes the body into a T and rejects unknown fields.
func read[T any](a *answer) (value T) {
	a.t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		a.t.Fatalf("%s %s: %v in %d %s", a.ask.method, a.ask.path, err, a.status, a.body)
	}
	return value
}
