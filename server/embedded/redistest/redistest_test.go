package redistest_test

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/redistest"
)

func TestNew(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]*embedded.Redis{
		"own":        redistest.New(t),
		"other":      redistest.New(t),
		"in process": redistest.NewInProcess(t),
	} {
		client := redis.NewClient(&redis.Options{Network: server.Network(), Addr: server.Addr()})
		defer client.Close()
		// Each Redis is empty, and what one stores does not appear in another.
		if err := client.Get(t.Context(), "key").Err(); !errors.Is(err, redis.Nil) {
			t.Errorf("%s: a new Redis has the key: %v", name, err)
		}
		if err := client.Set(t.Context(), "key", name, 0).Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
