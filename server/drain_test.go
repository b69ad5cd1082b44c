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

// Close first reports "not ready" while it still accepts requests. Then it refuses new connections,
// and running requests get their answers.
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
	running := make(chan reply, 1)
	go func() { // pending until the end: there is no bank
		a, err := alice.post("/v1/deposits", 3, usd(5_00))
		running <- reply{a, err}
	}()
	testkit.Eventually(t, "the deposit is pending", func() bool {
		a, err := send(http.MethodGet, s.URL()+"/v1/transfers", alice.token, "", nil, nil)
		return err == nil && strings.Contains(a.body, `"pending"`)
	})

	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	var draining answer
	testkit.Eventually(t, "it is no longer ready", func() bool {
		draining = mustGet(t, ops+"/readyz")
		return draining.status == http.StatusServiceUnavailable
	})
	testkit.Contains(t, draining.body, "draining")
	if got := mustGet(t, ops+"/livez"); got.status != 200 {
		t.Errorf("not live while it drains: %d", got.status)
	}
	if got, err := get(s.URL() + "/"); err != nil || got.status != 200 {
		t.Errorf("requests fail during the drain delay: %v, %v", got, err)
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
	case got := <-running:
		t.Errorf("the running request ended too early: %+v", got)
	case err := <-closed:
		t.Errorf("Close returned while a request was running: %v", err)
	default:
	}
	if got := <-running; got.err != nil || got.status != http.StatusAccepted {
		t.Errorf("the running request got %d %s, %v", got.status, got.body, got.err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	if _, err := get(ops + "/livez"); err == nil {
		t.Error("the operators' listener is still open")
	}
}

// An incomplete request and a long one delay Close by DrainTimeout at most. Idle connections do not
// delay it.
func TestHungClientDoesNotDelayClose(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]func(t *testing.T, s *server.Server){
		"half a request": func(t *testing.T, s *server.Server) {
			conn := dial(t, s)
			_, err := conn.Write([]byte("POST /v1/transfers HTTP/1.1\r\nHost: x\r\nContent-Le"))
			testkit.Must(t, err)
		},
		"waits for the bank": func(t *testing.T, s *server.Server) {
			alice := signUp(t, s.URL(), "alice")
			go func() { _, _ = alice.post("/v1/deposits", 30, usd(5_00)) }()
			testkit.Eventually(t, "the deposit is pending", func() bool {
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
			if took > 5*time.Second { // the requests themselves would end after 10 s and 30 s
				t.Errorf("a client delayed Close by %v", took)
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
			t.Errorf("an idle connection delayed Close by %v", took)
		}
	})
}

func dial(t *testing.T, s *server.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.URL()[strings.Index(s.URL(), "://")+3:])
	testkit.Must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Close immediately after Start closes all listeners.
func TestCloseBeforeServing(t *testing.T) {
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

// A Redis that accepts connections and never answers does not delay Close: neither while tasks wait
// to be enqueued, nor while a worker polls, nor while operators read the metrics.
func TestDrainWhileRedisHangs(t *testing.T) {
	t.Parallel()
	silent, connected := hangingRedis(t)
	c := config(t, pgtest.New(t).AppURL)
	c.Roles = server.AllRoles()
	c.Redis = asynq.RedisClientOpt{Addr: silent}
	s, err := server.Start(t.Context(), c)
	testkit.Must(t, err)
	alice := signUp(t, s.URL(), "alice")
	for range 3 {
		a, err := alice.post("/v1/deposits", 0, usd(5_00)) // each enqueues a task
		if err != nil || a.status != http.StatusAccepted {
			t.Errorf("%d %s %v", a.status, a.body, err)
		}
	}
	mustGet(t, s.OpsURL()+"/metrics")
	<-connected
	began := time.Now()
	testkit.Must(t, s.Close())
	took := time.Since(began)
	t.Logf("drained in %v", took.Round(time.Millisecond))
	if took > 6*time.Second {
		t.Error("that is more than 6 s")
	}
}
