package server_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/embedded/redistest"
)

// redisConfig returns the config of a server with a real Redis.
func redisConfig(t *testing.T, db *pgtest.Database) (server.Config, *redis.Client) {
	t.Helper()
	c, instance := config(t, db.AppURL), redistest.New(t)
	c.Redis = asynq.RedisClientOpt{Network: instance.Network(), Addr: instance.Addr()}
	client := redis.NewClient(&redis.Options{Network: instance.Network(), Addr: instance.Addr()})
	t.Cleanup(func() { client.Close() })
	return c, client
}

func (p *user) get(path string) answer {
	p.t.Helper()
	a, err := send(http.MethodGet, p.url+path, p.token, "", nil, nil)
	testkit.Must(p.t, err)
	return a
}

// untilRefused sends requests until one is rejected with 429, and returns how many were not.
func untilRefused(t *testing.T, request func() answer) (answer, int) {
	t.Helper()
	for n := range 1000 {
		if a := request(); a.status == http.StatusTooManyRequests {
			return a, n
		}
	}
	t.Fatal("none of 1000 requests was rejected")
	return answer{}, 0
}

func wantRefused(t *testing.T, a answer, status int, code string) {
	t.Helper()
	after, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != status || a.field("code") != code || err != nil || after < 1 || a.header.Get("X-Request-Id") == "" {
		t.Errorf("%d %s, Retry-After %q; want %d %s", a.status, a.body, a.header.Get("Retry-After"), status, code)
	}
}

// A user has one limit across processes. Anonymous requests are limited by their address, which
// includes requests with an invalid token. Of the bank's callbacks, only those with a wrong
// signature are limited.
func TestRateLimits(t *testing.T) {
	t.Parallel()
	c, _ := redisConfig(t, pgtest.New(t))
	c.RateLimit, c.RateLimitAddress = 3, 4
	first, second := start(t, c), start(t, c)
	alice, bob := signUp(t, first.URL(), "alice"), signUp(t, first.URL(), "bob")
	alice2 := &user{t, second.URL(), "alice", alice.token}

	allowed := bob.get("/v1/wallets")
	if allowed.status != 200 || allowed.header.Get("RateLimit-Policy") != `"user";q=6;w=2` || !strings.HasPrefix(allowed.header.Get("RateLimit"), `"user";r=`) {
		t.Errorf("%d, %v", allowed.status, allowed.header)
	}
	refused, n := untilRefused(t, func() answer { alice2.get("/v1/me"); return alice.get("/v1/me") })
	wantRefused(t, refused, 429, "rate_limited")
	if !strings.HasPrefix(refused.header.Get("RateLimit"), `"user";r=0;t=`) {
		t.Errorf("RateLimit: %q", refused.header.Get("RateLimit"))
	}
	t.Logf("refused after %d pairs", n)
	if got := bob.get("/v1/me"); got.status != 200 {
		t.Errorf("another user: %d %s", got.status, got.body)
	}

	thief := &user{t, first.URL(), "", "no.good.token"}
	refused, _ = untilRefused(t, func() answer { return thief.get("/v1/me") })
	wantRefused(t, refused, 429, "rate_limited")
	if got := refused.header.Get("RateLimit-Policy"); got != `"address";q=8;w=2` {
		t.Errorf("policy %q", got)
	}
	refused, _ = untilRefused(t, func() answer {
		a, err := send("POST", second.URL()+"/v1/auth/login", "", "", map[string]string{"login": "x", "password": "y"}, nil)
		testkit.Must(t, err)
		return a
	})
	if code := refused.field("code"); code != "rate_limited" && code != "too_many_attempts" {
		t.Errorf("got %s", refused.body)
	}
	callback := func(signature string) answer {
		got, err := send("POST", first.URL()+"/v1/bank/callbacks", "", "", map[string]string{}, http.Header{bank.SignatureHeader: {signature}})
		testkit.Must(t, err)
		return got
	}
	refused, _ = untilRefused(t, func() answer { return callback("t=1,v1=00") })
	wantRefused(t, refused, 429, "rate_limited")
	for range 30 {
		got := callback(bank.SignCallback([]byte("{}"), c.Secrets.BankCallback.Reveal(), time.Now()))
		if got.status == http.StatusUnauthorized || got.status == http.StatusTooManyRequests || got.header.Get("RateLimit") != "" {
			t.Fatalf("a callback of the bank: %d %s", got.status, got.body)
		}
	}
	metrics := mustGet(t, first.OpsURL()+"/metrics").body
	for _, name := range []string{`kizo_http_rate_limited_total{scope="user"}`, `kizo_http_rate_limited_total{scope="address"}`} {
		if _, rest, ok := strings.Cut(metrics, name+" "); !ok || strings.HasPrefix(rest, "0\n") {
			t.Errorf("%s is missing or 0", name)
		}
	}
	testkit.Contains(t, metrics, "kizo_auth_hash_seconds_count 2", "kizo_auth_hash_wait_seconds", "kizo_auth_hash_queue 0",
		`kizo_auth_hash_refused_total{reason="full"} 0`, "kizo_http_rate_limit_local 0")
}

// Failed log-ins are counted in PostgreSQL, so that neither FLUSHALL nor a restart resets them. The
// answers do not reveal whether an account exists.
func TestThrottleSurvivesRestart(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	c, client := redisConfig(t, db)
	s, err := server.Start(t.Context(), c)
	testkit.Must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	signUp(t, s.URL(), "alice")
	guess := func(url, login, password string) answer {
		a, err := send("POST", url+"/v1/auth/login", "", "", map[string]string{"login": login, "password": password}, nil)
		testkit.Must(t, err)
		return a
	}
	// The answers for each account, without request ids and seconds.
	var answers [2][]string
	for i, login := range []string{"alice", "unknown"} {
		for refused := false; !refused; {
			a := guess(s.URL(), login, "wrong password")
			refused = a.status == http.StatusTooManyRequests
			answers[i] = append(answers[i], fmt.Sprint(a.status, a.field("code"), a.field("title"), len(a.header)))
		}
		if n := len(answers[i]); n < 6 || !strings.HasPrefix(answers[i][4], "401") {
			t.Errorf("%s is refused after %d guesses: %s", login, n, answers[i])
		}
	}
	if answers[0][0] != answers[1][0] || answers[0][len(answers[0])-1] != answers[1][len(answers[1])-1] {
		t.Errorf("the answers are %s for an account and %s for none", answers[0], answers[1])
	}
	execute(t, db.AdminURL, `UPDATE login_throttle SET blocked_until = failures_until
		WHERE failures_until > now() + '30 min'`) // as after more guesses; ends the throttle of the address only
	testkit.Must(t, client.FlushAll(t.Context()).Err())
	testkit.Must(t, s.Close())
	again := start(t, c)
	wantRefused(t, guess(again.URL(), "alice", password), 429, "too_many_attempts")
	logIn(t, again.URL(), "alice@example.com") // the throttle is of the handle, not of the user
}
