// Package redistest gives a test a Redis of its own.
//
//	server := redistest.New(t)
//	client := redis.NewClient(&redis.Options{Network: server.Network(), Addr: server.Addr()})
//
// It is redis-server where that is installed, else miniredis. A test may kill
// it. One that shall come back at the same address is started with [NewIn].
package redistest

import (
	"context"
	"testing"

	"github.com/JDevAman/kizo/server/embedded"
)

// New starts a Redis that ends with the test.
func New(t testing.TB) *embedded.Redis {
	t.Helper()
	return start(t, embedded.RedisConfig{})
}

// NewIn starts a Redis in dir (of pgtest.TempDir, say). After its Kill or Stop
// the next one in dir has the same address, unless it is miniredis.
func NewIn(t testing.TB, dir string) *embedded.Redis {
	t.Helper()
	return start(t, embedded.RedisConfig{Dir: dir})
}

// NewInProcess starts miniredis, whatever is installed.
func NewInProcess(t testing.TB) *embedded.Redis {
	t.Helper()
	return start(t, embedded.RedisConfig{ForceInProcess: true})
}

func start(t testing.TB, cfg embedded.RedisConfig) *embedded.Redis {
	t.Helper()
	server, err := embedded.StartRedis(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Errorf("stop Redis: %v", err)
		}
	})
	return server
}
