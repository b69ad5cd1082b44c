package taskqueue

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/JDevAman/kizo/internal/testkit"
)

// A server of asynq crashes when a channel of its subscription is closed, so that cutting the
// connections of a client must not close it.
func TestCutConnectionsKeepSubscriptions(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and never answers
	testkit.Must(t, err)
	defer silent.Close()
	bounds := Bounds{Answer: time.Minute, conns: new(redisConns)}
	client := NewRedis(asynq.RedisClientOpt{Addr: silent.Addr().String()}, bounds)
	subscription := client.Subscribe(t.Context()) // connects when Channel is called
	messages := subscription.Channel()
	failed := make(chan error)
	go func() { failed <- client.Ping(context.Background()).Err() }()
	testkit.Eventually(t, "both have a connection", func() bool {
		bounds.conns.mu.Lock()
		defer bounds.conns.mu.Unlock()
		return len(bounds.conns.open) == 2
	})
	bounds.conns.cutAll()
	if err := <-failed; err == nil {
		t.Error("a command that Redis did not answer has succeeded")
	}
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("a command opened a new connection")
	}
	select {
	case _, open := <-messages:
		t.Errorf("the subscription received something; open: %t", open)
	default:
	}
	testkit.Must(t, subscription.Close())
	testkit.Must(t, client.Close())
}
