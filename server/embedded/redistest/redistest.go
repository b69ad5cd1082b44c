// Package redistest gives a test a Redis of its own.
//
//	server := redistest.New(t)
//	client := redis.NewClient(&redis.Options{Network: server.Network(), Addr: server.Addr()})
//
// It is redis-server if that is installed, else miniredis. A test may kill it. [NewIn] is for a
// test that starts Redis again at the same address. Only tests import the package.
package redistest

import (
	"context"
	"testing"

	"github.com/JDevAman/kizo/server/embedded"
)

// New starts a Redis that is stopped when the test ends.
func New(t testing.TB) *embedded.Redis {
	t.Helper()
	return start(t, embedded.RedisConfig{})
}

// NewIn starts a Redis in dir, such as that of pgtest.TempDir. After Kill or Stop, the next Redis
// in dir has the same address, unless it is miniredis.
func NewIn(t testing.TB, dir string) *embedded.Redis {
	t.Helper()
	return start(t, embedded.RedisConfig{Dir: dir})
}

// NewInProcess starts miniredis, even if redis-server is installed.
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
