package server

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ratelimit"
	"github.com/JDevAman/kizo/server/taskqueue"
)

// newLimits makes the rate limits. The API gets them as functions and does not know Redis.
func (s *Server) newLimits() api.Limits {
	user, address := ratelimit.Rule{Rate: s.config.RateLimit}, ratelimit.Rule{Rate: s.config.RateLimitAddress}
	s.limitRedis = redisForLimits(s.config.Redis)
	if s.limitRedis == nil || user.Rate == 0 && address.Rate == 0 {
		return api.Limits{}
	}
	limiter := ratelimit.New(ratelimit.Config{Redis: s.limitRedis, User: user, Address: address, Metrics: s.metrics.limits})
	limits := api.Limits{UserPolicy: policy(limiter.UserRule()), AddressPolicy: policy(limiter.AddressRule())}
	if user.Rate > 0 {
		limits.User = func(ctx context.Context, id auth.UserID) api.Allowance {
			return api.Allowance(limiter.User(ctx, uuid.UUID(id)))
		}
	}
	if address.Rate > 0 {
		limits.Address = func(ctx context.Context, ip string) api.Allowance { return api.Allowance(limiter.Address(ctx, ip)) }
	}
	return limits
}

// policy describes a rule as its burst, and the seconds after which a spent burst is available
// again.
func policy(r ratelimit.Rule) api.Policy {
	if r.Rate == 0 {
		return api.Policy{}
	}
	return api.Policy{Requests: r.Burst, Seconds: (r.Burst + r.Rate - 1) / r.Rate}
}

// redisForLimits returns a client for the rate limits alone. It has a short timeout and no
// retries: without Redis, limits are kept in memory, and a request does not wait for it.
func redisForLimits(to asynq.RedisConnOpt) redis.UniversalClient {
	return taskqueue.NewRedis(to, taskqueue.Bounds{Answer: 50 * time.Millisecond, Connections: 8})
}
