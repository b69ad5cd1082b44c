package taskqueue

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Bounds limits how long a client waits for a Redis that does not answer. The client that
// asynq creates waits three seconds, tries four times and ignores the deadline of a context.
type Bounds struct {
	Answer      time.Duration // the time limit of one attempt at a command
	Retries     int           // of a command; 0: none
	Connections int           // largest number of connections; 0: ten for each processor

	conns *redisConns // opens the connections if it is not nil
}

// QueueBounds are the bounds of all clients of a queue. They are short: the callers ask again
// soon.
var QueueBounds = Bounds{Answer: 2 * time.Second, Retries: 1}

const dialRedisTimeout = time.Second

// go-redis returns each error and also prints it to stderr, many times a second while Redis
// cannot be reached. The callers log the returned errors, so the printed ones are discarded.
func init() { redis.SetLogger(discardLogger{}) }

type discardLogger struct{}

func (discardLogger) Printf(context.Context, string, ...any) {}

// NewRedis creates a client that respects bounds and the deadlines of contexts. It does not
// connect yet.
func NewRedis(to asynq.RedisConnOpt, bounds Bounds) redis.UniversalClient {
	retries := bounds.Retries
	if retries == 0 {
		retries = -1 // how go-redis expresses no retries
	}
	dialer := func(config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
		if bounds.conns == nil {
			return nil
		}
		return bounds.conns.dialer(config)
	}
	switch o := to.(type) {
	case asynq.RedisClientOpt:
		return redis.NewClient(&redis.Options{
			Network: o.Network, Addr: o.Addr, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
			DialTimeout: dialRedisTimeout, ReadTimeout: bounds.Answer, WriteTimeout: bounds.Answer, ContextTimeoutEnabled: true,
			MaxRetries: retries, PoolSize: bounds.Connections, Dialer: dialer(o.TLSConfig),
		})
	case asynq.RedisFailoverClientOpt:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: o.MasterName, SentinelAddrs: o.SentinelAddrs, SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
			Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
			DialTimeout: dialRedisTimeout, ReadTimeout: bounds.Answer, WriteTimeout: bounds.Answer, ContextTimeoutEnabled: true,
			MaxRetries: retries, PoolSize: bounds.Connections, Dialer: dialer(o.TLSConfig),
		})
	case asynq.RedisClusterClientOpt:
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: o.Addrs, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, MaxRedirects: o.MaxRedirects,
			DialTimeout: dialRedisTimeout, ReadTimeout: bounds.Answer, WriteTimeout: bounds.Answer, ContextTimeoutEnabled: true,
			MaxRetries: retries, PoolSize: bounds.Connections, Dialer: dialer(o.TLSConfig),
		})
	}
	return to.MakeRedisClient().(redis.UniversalClient) //nolint:forcetypeassert // as asynq itself does
}

// redisConns are the connections of a client. Cutting them makes all commands fail at once. Closing
// the client would do that as well, but it also closes the channels of its subscriptions, and the
// server of asynq (v0.26) crashes when it receives from such a channel.
type redisConns struct {
	mu   sync.Mutex
	open map[*trackedConn]struct{}
	cut  bool
}

var errRedisCut = errors.New("the connections to Redis were cut")

// dialer returns the function that opens connections; config is nil without TLS.
func (c *redisConns) dialer(config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	dial := redis.NewDialer(&redis.Options{DialTimeout: dialRedisTimeout, TLSConfig: config})
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.cut {
			_ = conn.Close()
			return nil, errRedisCut
		}
		if c.open == nil {
			c.open = make(map[*trackedConn]struct{})
		}
		tracked := &trackedConn{Conn: conn, owner: c}
		c.open[tracked] = struct{}{}
		return tracked, nil
	}
}

// cutAll closes all connections and makes new ones fail.
func (c *redisConns) cutAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for conn := range c.open {
		_ = conn.Conn.Close()
	}
	clear(c.open)
}

// trackedConn leaves its owner when it is closed.
type trackedConn struct {
	net.Conn
	owner *redisConns
}

// Close closes the connection.
func (c *trackedConn) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.open, c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}
