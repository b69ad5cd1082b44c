package settle

import (
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// RedisBounds limits how long a client waits for a Redis that does not answer. The client that
// asynq creates waits three seconds, tries four times and ignores the deadline of a context.
type RedisBounds struct {
	Answer      time.Duration // the time limit of one attempt at a command
	Retries     int           // of a command; 0: none
	Connections int           // largest number of connections; 0: ten for each processor
}

// queueBounds are the bounds of all clients of the queue. They are short: the callers ask again
// soon.
var queueBounds = RedisBounds{Answer: 2 * time.Second, Retries: 1}

const dialRedisTimeout = time.Second

// RedisClient creates a client that respects bounds and the deadlines of contexts. It does not
// connect yet.
func RedisClient(to asynq.RedisConnOpt, bounds RedisBounds) redis.UniversalClient {
	retries := bounds.Retries
	if retries == 0 {
		retries = -1 // how go-redis expresses no retries
	}
	switch o := to.(type) {
	case asynq.RedisClientOpt:
		return redis.NewClient(&redis.Options{
			Network: o.Network, Addr: o.Addr, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
			DialTimeout: dialRedisTimeout, ReadTimeout: bounds.Answer, WriteTimeout: bounds.Answer, ContextTimeoutEnabled: true,
			MaxRetries: retries, PoolSize: bounds.Connections,
		})
	case asynq.RedisFailoverClientOpt:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: o.MasterName, SentinelAddrs: o.SentinelAddrs, SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
			Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
			DialTimeout: dialRedisTimeout, ReadTimeout: bounds.Answer, WriteTimeout: bounds.Answer, ContextTimeoutEnabled: true,
			MaxRetries: retries, PoolSize: bounds.Connections,
		})
	case asynq.RedisClusterClientOpt:
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: o.Addrs, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, MaxRedirects: o.MaxRedirects,
			DialTimeout: dialRedisTimeout, ReadTimeout: bounds.Answer, WriteTimeout: bounds.Answer, ContextTimeoutEnabled: true,
			MaxRetries: retries, PoolSize: bounds.Connections,
		})
	}
	return to.MakeRedisClient().(redis.UniversalClient) //nolint:forcetypeassert // as asynq itself does
}
