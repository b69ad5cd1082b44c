package server_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// Draining: readiness goes first, while requests are still taken; then nothing new
// is, but what is under way gets its answer.
func TestDrain(t *testing.T) {
	t.Parallel()
	c := config(t, pgtest.New(t).AppURL)
	c.DrainDelay = time.Second
	s := start(t, c)
	alice := signUp(t, s.URL(), "alice")
	ops := s.OpsURL()
	if got := mustGet(t, ops+"/readyz"); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}

	type reply struct {
		answer
		err error
	}
	underWay := make(chan reply, 1)
	go func() { // pending until the end: the bank is not there
		a, err := alice.ask("/v1/deposits", 3, usd(5_00))
		underWay <- reply{a, err}
	}()
	testkit.Eventually(t, "the deposit is under way", func() bool {
		a, err := send(http.MethodGet, s.URL()+"/v1/transfers", alice.token, "", nil, nil)
		return err == nil && strings.Contains(a.body, `"pending"`)
	})

	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	var draining answer
	testkit.Eventually(t, "readiness goes", func() bool {
		draining = mustGet(t, ops+"/readyz")
		return draining.status == http.StatusServiceUnavailable
	})
	testkit.Contains(t, draining.body, "draining")
	if got := mustGet(t, ops+"/livez"); got.status != 200 {
		t.Errorf("not live while it drains: %d", got.status)
	}
	if got, err := get(s.URL() + "/"); err != nil || got.status != 200 {
		t.Errorf("it does not serve in its drain delay: %v, %v", got, err)
	}
	address := strings.TrimPrefix(s.URL(), "http://")
	testkit.Eventually(t, "new connections are refused", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	select {
	case got := <-underWay:
		t.Errorf("the request under way ended before it was its time: %+v", got)
	case err := <-closed:
		t.Errorf("closed with a request under way: %v", err)
	default:
	}
	if got := <-underWay; got.err != nil || got.status != http.StatusAccepted {
		t.Errorf("the request under way got %d %s, %v", got.status, got.body, got.err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := get(ops + "/livez"); err == nil {
		t.Error("the operators' listener is still there")
	}
}

// Neither half a request nor one that takes too long holds Close beyond its time.
// Idle connections do not hold it at all.
func TestHungClientDoesNotHoldClose(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]func(t *testing.T, s *server.Server){
		"half a request": func(t *testing.T, s *server.Server) {
			conn := dial(t, s)
			_, err := conn.Write([]byte("POST /v1/transfers HTTP/1.1\r\nHost: x\r\nContent-Le"))
			testkit.Must(t, err)
		},
		"waits for the bank": func(t *testing.T, s *server.Server) {
			alice := signUp(t, s.URL(), "alice")
			go func() { _, _ = alice.ask("/v1/deposits", 30, usd(5_00)) }()
			testkit.Eventually(t, "the deposit is under way", func() bool {
				a, err := send(http.MethodGet, s.URL()+"/v1/transfers", alice.token, "", nil, nil)
				return err == nil && strings.Contains(a.body, `"pending"`)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t, pgtest.New(t).AppURL)
			c.DrainTimeout = 300 * time.Millisecond
			s := start(t, c)
			hang(t, s)
			began := time.Now()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			took := time.Since(began)
			t.Logf("closed after %v", took.Round(time.Millisecond))
			if took > 5*time.Second { // the client's own patience is 10 s and 30 s
				t.Errorf("a client held Close for %v", took)
			}
		})
	}
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		c := config(t, pgtest.New(t).AppURL)
		c.DrainTimeout = time.Minute
		s := start(t, c)
		conn := dial(t, s)
		_, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		testkit.Must(t, err)
		_, err = conn.Read(make([]byte, 1))
		testkit.Must(t, err)
		began := time.Now()
		testkit.Must(t, s.Close())
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("an idle connection held Close for %v", took)
		}
	})
}

func dial(t *testing.T, s *server.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	testkit.Must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Closed before it had served: nothing is left listening.
func TestCloseAtOnce(t *testing.T) {
	t.Parallel()
	c := config(t, pgtest.New(t).AppURL)
	for range 5 {
		s, err := server.Start(t.Context(), c)
		testkit.Must(t, err)
		testkit.Must(t, s.Close())
		for _, url := range []string{s.URL(), s.OpsURL()} {
			if _, err := get(url); err == nil {
				t.Errorf("%s still answers", url)
			}
		}
	}
}

// A Redis that accepts connections and never answers does not hold up the end: neither while
// hints for it wait, nor while tasks are asked for, nor while operators ask about it.
func TestDrainWhileRedisHangs(t *testing.T) {
	t.Parallel()
	silent, asked := silentRedis(t)
	c := config(t, pgtest.New(t).AppURL)
	c.Roles = server.AllRoles()
	c.Redis = asynq.RedisClientOpt{Addr: silent}
	s, err := server.Start(t.Context(), c)
	testkit.Must(t, err)
	alice := signUp(t, s.URL(), "alice")
	for range 3 {
		a, err := alice.ask("/v1/deposits", 0, usd(5_00)) // each leaves a hint
		if err != nil || a.status != http.StatusAccepted {
			t.Errorf("%d %s %v", a.status, a.body, err)
		}
	}
	mustGet(t, s.OpsURL()+"/metrics")
	<-asked
	began := time.Now()
	testkit.Must(t, s.Close())
	took := time.Since(began)
	t.Logf("drained in %v", took.Round(time.Millisecond))
	if took > 6*time.Second {
		t.Error("that is too long")
	}
}
