package embedded

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/internal/testkit"
)

func haveRedis() bool { _, err := exec.LookPath("redis-server"); return err == nil }

func connect(t *testing.T, r *Redis) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Network: r.Network(), Addr: r.Addr(), MaxRetries: -1})
	t.Cleanup(func() { client.Close() })
	return client
}

func TestRedisServer(t *testing.T) {
	t.Parallel()
	if !haveRedis() {
		t.Skip("redis-server is not installed")
	}
	dir := tempDir(t)
	began := time.Now()
	first, err := StartRedis(t.Context(), RedisConfig{Dir: dir, Args: []string{"--maxmemory", "64mb"}})
	testkit.Must(t, err)
	t.Logf("start: %v", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() { first.Kill() })
	client := connect(t, first)
	testkit.Must(t, client.Set(t.Context(), "key", "value", 0).Err())
	for name, want := range map[string]string{"save": "", "appendonly": "no", "port": "0", "maxmemory": "67108864"} {
		if got := client.ConfigGet(t.Context(), name).Val()[name]; got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	testkit.Must(t, first.Kill())
	<-first.Done()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("it answers after it was killed")
	}
	second, err := StartRedis(t.Context(), RedisConfig{Dir: dir})
	testkit.Must(t, err)
	if second.Addr() != first.Addr() || second.InProcess() || second.Pid() == 0 {
		t.Errorf("the address is %s, want %s", second.Addr(), first.Addr())
	}
	if n := client.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys survived", n)
	}
	testkit.Must(t, second.Stop(t.Context()))
	testkit.Must(t, second.Stop(context.Background()))
	if _, err := os.Stat(second.Addr()); !os.IsNotExist(err) {
		t.Errorf("the socket still exists: %v", err)
	}
}

func TestRedisFails(t *testing.T) {
	t.Parallel()
	if _, err := StartRedis(t.Context(), RedisConfig{Bin: "/nowhere/redis-server"}); err == nil {
		t.Error("a missing program was started")
	}
	if !haveRedis() {
		return
	}
	if _, err := StartRedis(t.Context(), RedisConfig{Args: []string{"--maxmemory", "a lot"}}); err == nil {
		t.Error("started with an invalid argument")
	} else {
		t.Log(err)
	}
}

func TestRedisInProcess(t *testing.T) {
	t.Parallel()
	r, err := StartRedis(t.Context(), RedisConfig{ForceInProcess: true})
	testkit.Must(t, err)
	t.Cleanup(func() { r.Kill() })
	if !r.InProcess() || r.Network() != "tcp" || r.Pid() != 0 {
		t.Errorf("%+v", r)
	}
	client := connect(t, r)
	testkit.Must(t, client.Set(t.Context(), "short", 1, 300*time.Millisecond).Err())
	testkit.Must(t, client.Set(t.Context(), "long", 1, time.Hour).Err())
	for client.Exists(t.Context(), "short").Val() == 1 { // until the test times out
	}
	if client.Exists(t.Context(), "long").Val() != 1 {
		t.Error("a key expired before its time")
	}
	testkit.Must(t, r.Stop(t.Context()))
	<-r.Done()
}
