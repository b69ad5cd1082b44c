package ratelimit

import (
	"context"
	"encoding/hex"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// Rule is a rate limit. A Rate of 0 allows every request.
type Rule struct {
	Rate  int // requests per second
	Burst int // requests that may arrive at the same moment; 0 means twice the rate
}

func (r Rule) off() bool { return r.Rate <= 0 }

// chunk returns the number of permits that are leased at a time.
func (r Rule) chunk() int { return max(r.Burst/10, 1) }

// Config configures a Limiter. Redis is required.
type Config struct {
	Redis         redis.UniversalClient
	User, Address Rule             // for each user, and for each address
	Metrics       *Metrics         // nil counts nowhere
	Now           func() time.Time // time.Now if nil
}

// Decision says whether a request is allowed, and what the client may do next.
type Decision struct {
	Allowed    bool
	Remaining  int           // further requests that would be allowed now, as far as this process knows
	Reset      time.Duration // until the whole burst is available again
	RetryAfter time.Duration // until a refused request would be allowed; 0 if it was allowed
}

const (
	redisTimeout    = 50 * time.Millisecond // for one request to Redis; users would notice more
	retryRedisEvery = time.Second           // while Redis is down
)

// Limiter limits the requests of users and addresses. Safe for concurrent use.
type Limiter struct {
	redis         *redis_rate.Limiter
	user, address scope
	metrics       *Metrics
	now           func() time.Time
	timeout       time.Duration

	redisDown atomic.Bool  // Redis did not respond, or not within the timeout
	nextRetry atomic.Int64 // of Redis while it is down, Unix nanoseconds
}

// scope is a rule, and the leases of the keys that it applies to.
type scope struct {
	name   string
	rule   Rule
	leases *table
}

// New returns a Limiter. It starts no goroutine and needs no closing.
func New(c Config) *Limiter {
	if c.Metrics == nil {
		c.Metrics = NewMetrics()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Limiter{
		redis: redis_rate.NewLimiter(c.Redis), metrics: c.Metrics, now: c.Now, timeout: redisTimeout,
		user: newScope("user", c.User), address: newScope("address", c.Address),
	}
}

func newScope(name string, rule Rule) scope {
	if rule.Burst == 0 {
		rule.Burst = 2 * rule.Rate
	}
	return scope{name: name, rule: rule, leases: newTable()}
}

// UserRule returns the rule of users, including the defaults.
func (l *Limiter) UserRule() Rule { return l.user.rule }

// AddressRule returns the rule of addresses, including the defaults.
func (l *Limiter) AddressRule() Rule { return l.address.rule }

// User counts a request of a user, and decides whether it is allowed.
func (l *Limiter) User(ctx context.Context, id uuid.UUID) Decision {
	return l.spend(ctx, &l.user, key(id))
}

// Address counts a request from an IP address, and decides whether it is allowed. An
// IPv6 address shares the limit of its /64 network. All texts that are not an address
// share one limit.
func (l *Limiter) Address(ctx context.Context, text string) Decision {
	return l.spend(ctx, &l.address, addressKey(text))
}

func addressKey(text string) key {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return key{}
	}
	address = address.Unmap().WithZone("")
	if address.Is6() {
		if network, err := address.Prefix(64); err == nil {
			address = network.Addr()
		}
	}
	return address.As16()
}

func (l *Limiter) spend(ctx context.Context, s *scope, k key) Decision {
	if s.rule.off() {
		return Decision{Allowed: true}
	}
	d := l.decide(ctx, s, k)
	if !d.Allowed {
		l.metrics.limited.WithLabelValues(s.name).Inc()
	}
	return d
}

func (l *Limiter) decide(ctx context.Context, s *scope, k key) Decision {
	held := s.leases.get(k)
	began := l.now().UnixNano()
	// Several rounds are needed where many callers share one chunk.
	for now := began; !l.redisDown.Load() && now-began < 2*int64(l.timeout); now = l.now().UnixNano() {
		d, next, pending := held.spend(now, s.rule)
		switch next {
		case decided:
			return d
		case low:
			go l.refill(context.WithoutCancel(ctx), s, k, held)
			return d
		case exhausted:
			l.refill(ctx, s, k, held)
		case waiting:
			select {
			case <-pending: // within the timeout
			case <-ctx.Done():
				return Decision{RetryAfter: retryRedisEvery}
			}
		}
	}
	if !l.redisDown.Load() { // other callers took all permits of two chunks: retry soon
		return Decision{RetryAfter: l.timeout}
	}
	l.probe(s, k, held, began)
	return held.spendLocally(l.now().UnixNano(), s.rule)
}

// probe lets one request per second check in the background whether Redis is up again.
func (l *Limiter) probe(s *scope, k key, held *lease, now int64) {
	next := l.nextRetry.Load()
	if now >= next && l.nextRetry.CompareAndSwap(next, now+int64(retryRedisEvery)) && held.beginRequest() {
		go l.refill(context.Background(), s, k, held)
	}
}

// refill requests a chunk from Redis. The caller has begun the request, by spend or by
// beginRequest.
func (l *Limiter) refill(ctx context.Context, s *scope, k key, held *lease) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	rule := redis_rate.Limit{Rate: s.rule.Rate, Burst: s.rule.Burst, Period: time.Second}
	result, err := l.redis.AllowN(ctx, name(s, k), rule, s.rule.chunk())
	now := l.now().UnixNano()
	if err != nil {
		// Also if the caller has canceled ctx: that only causes an early retry.
		l.nextRetry.Store(now + int64(retryRedisEvery))
		l.redisDown.Store(true)
		l.metrics.local.Set(1)
		held.endRequest(now, nil)
		return
	}
	if l.redisDown.Swap(false) {
		l.metrics.local.Set(0)
	}
	held.endRequest(now, result)
}

// name returns the key in Redis.
func name(s *scope, k key) string {
	b := append(make([]byte, 0, 64), "kizo:"...)
	b = append(append(b, s.name...), ':')
	return string(hex.AppendEncode(b, k[:]))
}
