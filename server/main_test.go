package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, migrations.Apply) }

// sharedSecrets are the secrets of all servers in these tests, since those on one database must
// have the same.
var sharedSecrets = sync.OnceValues(func() (auth.Secrets, error) {
	dir, err := os.MkdirTemp("", "kizo-secrets-")
	if err != nil {
		return auth.Secrets{}, err
	}
	defer os.RemoveAll(dir)
	return auth.LoadOrCreateSecrets(filepath.Join(dir, "secrets.json"))
})

// config returns the config of a server without Redis and bank: money moves without them.
func config(t *testing.T, databaseURL string) server.Config {
	t.Helper()
	secrets, err := sharedSecrets()
	testkit.Must(t, err)
	return server.Config{
		DatabaseURL: databaseURL,
		Redis:       asynq.RedisClientOpt{Network: "unix", Addr: "/nonexistent/kizo-redis.sock"},
		BankURL:     "http://127.0.0.1:1", Secrets: secrets,
		Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0",
		Roles: []server.Role{server.RoleAPI, server.RoleAuth}, DefaultCurrency: "USD", Version: "test",
	}
}

func start(t *testing.T, c server.Config) *server.Server {
	t.Helper()
	s, err := server.Start(t.Context(), c)
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, s.Close()) })
	return s
}

// refused starts a server that must not start, and returns the error text.
func refused(t *testing.T, c server.Config) string {
	t.Helper()
	s, err := server.Start(t.Context(), c)
	if err == nil {
		_ = s.Close()
		t.Fatal("it started")
	}
	return err.Error()
}

func execute(t *testing.T, url, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	testkit.Must(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), sql, args...)
	testkit.Must(t, err)
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) field(name string) any {
	var fields map[string]any
	_ = json.Unmarshal([]byte(a.body), &fields)
	return fields[name]
}

// get sends a request on a new connection.
func get(url string) (answer, error) { return send(http.MethodGet, url, "", "", nil, nil) }

func mustGet(t testing.TB, url string) answer {
	t.Helper()
	a, err := get(url)
	testkit.Must(t, err)
	return a
}

func send(method, url, token, key string, body any, header http.Header) (answer, error) {
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		text = bytes.NewReader(encoded)
	}
	request, err := http.NewRequest(method, url, text)
	if err != nil {
		return answer{}, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Close = true
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	client := http.Client{Timeout: 40 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(content)}, err
}

// user is a logged-in user of a running server.
type user struct {
	t      *testing.T
	url    string
	handle string
	token  string
}

const password = "correct horse battery staple"

func signUp(t *testing.T, url, handle string) *user {
	t.Helper()
	a, err := send(http.MethodPost, url+"/v1/auth/signup", "", "", map[string]string{
		"email": handle + "@example.com", "handle": handle, "name": "Some User", "password": password,
	}, nil)
	testkit.Must(t, err)
	return authenticated(t, url, handle, a)
}

func logIn(t *testing.T, url, handle string) *user {
	t.Helper()
	a, err := send(http.MethodPost, url+"/v1/auth/login", "", "", map[string]string{"login": handle, "password": password}, nil)
	testkit.Must(t, err)
	return authenticated(t, url, handle, a)
}

func authenticated(t *testing.T, url, handle string, a answer) *user {
	t.Helper()
	token, _ := a.field("access_token").(string)
	if token == "" {
		t.Fatalf("%s has no access token: %d %s", handle, a.status, a.body)
	}
	return &user{t, url, handle, token}
}

// post sends a command with a new idempotency key. It waits for the bank for that many seconds.
func (p *user) post(path string, wait int, body any) (answer, error) {
	header := http.Header{"Prefer": {fmt.Sprintf("wait=%d", wait)}}
	return send(http.MethodPost, p.url+path, p.token, uuid.NewString(), body, header)
}

func (p *user) mustPost(path string, body any) answer {
	p.t.Helper()
	a, err := p.post(path, 20, body)
	testkit.Must(p.t, err)
	if a.status != http.StatusCreated {
		p.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return a
}

func (p *user) wantBalance(balance, held int64) {
	p.t.Helper()
	a, err := send(http.MethodGet, p.url+"/v1/wallets", p.token, "", nil, nil)
	testkit.Must(p.t, err)
	var list struct {
		Items []struct{ Balance, Held int64 }
	}
	testkit.Must(p.t, json.Unmarshal([]byte(a.body), &list))
	if len(list.Items) != 1 || list.Items[0].Balance != balance || list.Items[0].Held != held {
		p.t.Errorf("%s has %s, want %d with %d held", p.handle, a.body, balance, held)
	}
}

func usd(minor int64) map[string]any { return map[string]any{"amount": minor, "currency": "USD"} }

func usdTo(minor int64, to string) map[string]any {
	return map[string]any{"amount": minor, "currency": "USD", "to": to}
}
