package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
)

// person is a user with a token. Requests may go to any kizod that serves the same database.
type person struct {
	handle string
	token  string
}

const password = "correct horse battery staple"

// command is a request that moves money, with everything that must be the same when it is repeated.
type command struct {
	from *person
	path string
	key  string
	body map[string]any
}

// outcome is the result of sending a command once.
type outcome struct {
	status   int
	id       uuid.UUID // of the transfer, which may have been refused
	state    string
	code     string // of a problem
	replayed bool
	text     string
}

// definite reports whether the outcome is final: the command was accepted, or refused with a sticky
// refusal.
func (o outcome) definite() bool { return o.accepted() || o.status == http.StatusUnprocessableEntity }
func (o outcome) accepted() bool {
	return o.status == http.StatusCreated || o.status == http.StatusAccepted
}

func signUp(t *testing.T, client *http.Client, url, handle string) *person {
	t.Helper()
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	status, _, text, err := call(client, http.MethodPost, url+"/v1/auth/signup", http.Header{}, map[string]any{
		"email": handle + "@example.com", "handle": handle, "name": "Some Body", "password": password,
	}, &tokens)
	if err != nil || status != http.StatusCreated {
		t.Fatalf("sign up: %d %s %v", status, text, err)
	}
	return &person{handle, tokens.AccessToken}
}

// send returns an error if there was no complete answer. wait is how many seconds to wait for the
// bank.
func (c command) send(client *http.Client, url string, wait int) (outcome, error) {
	var answer struct {
		ID         uuid.UUID `json:"id"`
		State      string    `json:"state"`
		Code       string    `json:"code"`
		TransferID uuid.UUID `json:"transfer_id"`
	}
	header := http.Header{
		"Authorization": {"Bearer " + c.from.token}, "Idempotency-Key": {c.key}, "Prefer": {fmt.Sprintf("wait=%d", wait)},
	}
	status, got, text, err := call(client, http.MethodPost, url+c.path, header, c.body, &answer)
	if err != nil {
		return outcome{}, err
	}
	o := outcome{status, answer.ID, answer.State, answer.Code, got.Get("Idempotency-Replayed") == "true", text}
	if o.id == uuid.Nil {
		o.id = answer.TransferID
	}
	return o, nil
}

func (p *person) get(client *http.Client, url, path string, into any) error {
	header := http.Header{"Authorization": {"Bearer " + p.token}}
	status, _, text, err := call(client, http.MethodGet, url+path, header, nil, into)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %s", path, status, text)
	}
	return err
}

type wallet struct{ Balance, Held int64 }

func (p *person) wallet(client *http.Client, url string) (wallet, error) {
	var list struct{ Items []wallet }
	if err := p.get(client, url, "/v1/wallets", &list); err != nil {
		return wallet{}, err
	}
	if len(list.Items) != 1 {
		return wallet{}, fmt.Errorf("%s has %d wallets", p.handle, len(list.Items))
	}
	return list.Items[0], nil
}

// call sends a request. Beyond the rate limit of its user it waits as long as the answer says, and
// sends the request again: how often a test polls must not decide whether it passes.
func call(client *http.Client, method, url string, header http.Header, body map[string]any, into any) (status int, got http.Header, text string, err error) {
	for {
		status, got, text, err = callOnce(client, method, url, header, body, into)
		if err != nil || status != http.StatusTooManyRequests {
			return status, got, text, err
		}
		seconds, err := strconv.Atoi(got.Get("Retry-After"))
		if err != nil {
			return 0, nil, "", fmt.Errorf("429 without Retry-After: %s", text)
		}
		time.Sleep(time.Duration(seconds) * time.Second)
	}
}

func callOnce(client *http.Client, method, url string, header http.Header, body map[string]any, into any) (status int, got http.Header, text string, err error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, "", err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequest(method, url, content)
	if err != nil {
		return 0, nil, "", err
	}
	request.Header = header
	request.Header.Set("Content-Type", "application/json")
	request.GetBody = nil // net/http must not repeat requests; the test does
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, "", err
	}
	_ = json.Unmarshal(raw, into) // invalid JSON leaves it empty, which fails the test
	return response.StatusCode, response.Header, string(raw), nil
}

func newClient() *http.Client {
	return &http.Client{
		Timeout:   40 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 32},
	}
}

func deposit(p *person, minor int64) command {
	return command{p, "/v1/deposits", uuid.NewString(), map[string]any{"amount": minor, "currency": "USD"}}
}

func withdrawal(p *person, minor int64) command {
	return command{p, "/v1/withdrawals", uuid.NewString(), map[string]any{"amount": minor, "currency": "USD"}}
}

func transfer(p *person, minor int64, to *person) command {
	return command{p, "/v1/transfers", uuid.NewString(), map[string]any{"amount": minor, "currency": "USD", "to": "@" + to.handle}}
}
