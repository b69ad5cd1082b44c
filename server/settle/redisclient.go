package settle

import (
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// RedisBounds are how long a client waits for a Redis that does not answer. asynq's own
// client waits for three seconds, tries four times, and does not heed a context's deadline.
type RedisBounds struct {
	Answer      time.Duration // to one attempt at a command
	Retries     int           // of a command; 0: none
	Connections int           // at most; 0: ten for each processor
}

// queueBounds are for the clients of the queue: what they ask is asked again soon.
var queueBounds = RedisBounds{Answer: 2 * time.Second, Retries: 1}

const dialRedisWithin = time.Second

// RedisClient makes a client that keeps to bounds and to the deadlines of contexts. It
// connects to nothing yet.
func RedisClient(to asynq.RedisConnOpt, bounds RedisBounds) redis.UniversalClient {
	retries := bounds.Retries
	if retries == 0 {
		retries = -1 // go-redis's word for none
	}
	switch o := to.(type) {
	case asynq.RedisClientOpt:
		return redis.NewClient(&redis.Options{
			Network: o.Network, Addr: o.Addr, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
			DialTimeout: dialRedisWithin, ReadTimeout: bounds.Answer, WriteTimeout: bounds.Answer, ContextTimeoutEnabled: true,
			MaxRetries: retries, PoolSize: bounds.Connections,
		})
	case asynq.RedisFailoverClientOpt:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: o.MasterName, SentinelAddrs: o.SentinelAddrs, SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
			Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
			DialTimeout: dialRedisWithin, ReadTimeout: bounds.Answer, WriteTimeout: bounds.Answer, ContextTimeoutEnabled: true,
			MaxRetries: retries, PoolSize: bounds.Connections,
		})
	case asynq.RedisClusterClientOpt:
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: o.Addrs, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, MaxRedirects: o.MaxRedirects,
			DialTimeout: dialRedisWithin, ReadTimeout: bounds.Answer, WriteTimeout: bounds.Answer, ContextTimeoutEnabled: true,
			MaxRetries: retries, PoolSize: bounds.Connections,
		})
	}
	return to.MakeRedisClient().(redis.UniversalClient) //nolint:forcetypeassert // as asynq itself does
}
