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

// Rule is a rate, and how much of it may come at once. A Rate of 0 allows everything.
type Rule struct {
	Rate  int // requests per second
	Burst int // twice the rate when 0
}

func (r Rule) off() bool { return r.Rate <= 0 }

// chunk is how much is leased at a time.
func (r Rule) chunk() int { return max(r.Burst/10, 1) }

// Config of a Limiter.
type Config struct {
	Redis         redis.UniversalClient
	User, Address Rule
	Metrics       *Metrics
	Now           func() time.Time // time.Now
}

// Decision on one request.
type Decision struct {
	Allowed    bool
	Remaining  int           // requests that would be allowed at once, as far as is known here
	Reset      time.Duration // until that is the whole burst again
	RetryAfter time.Duration // of a request that was refused
}

const (
	redisTimeout    = 50 * time.Millisecond // more would be felt
	retryRedisEvery = time.Second           // for a Redis that was away
)

// Limiter is safe for concurrent use.
type Limiter struct {
	redis         *redis_rate.Limiter
	user, address scope
	metrics       *Metrics
	now           func() time.Time
	timeout       time.Duration

	redisDown atomic.Bool  // Redis does not answer, or not in time
	nextRetry atomic.Int64 // for it, Unix nanoseconds
}

// scope is a rule and all whom it is for.
type scope struct {
	name   string
	rule   Rule
	leases *table
}

// New returns a Limiter; it starts nothing and needs no closing.
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

// UserRule and AddressRule are the rules, defaults filled in.
func (l *Limiter) UserRule() Rule    { return l.user.rule }
func (l *Limiter) AddressRule() Rule { return l.address.rule }

// User spends one request of the user's.
func (l *Limiter) User(ctx context.Context, id uuid.UUID) Decision {
	return l.spend(ctx, &l.user, key(id))
}

// Address spends one request of an IP address's; of an IPv6 address it is the
// network's. A text that is no address is nobody's, and shares one limit with all
// others like it.
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
	v := l.decide(ctx, s, k)
	if !v.Allowed {
		l.metrics.limited.WithLabelValues(s.name).Inc()
	}
	return v
}

func (l *Limiter) decide(ctx context.Context, s *scope, k key) Decision {
	held := s.leases.get(k)
	began := l.now().UnixNano()
	// More than one round where many share a chunk; each round is somebody's answer.
	for now := began; !l.redisDown.Load() && now-began < 2*int64(l.timeout); now = l.now().UnixNano() {
		v, next, asking := held.spend(now, s.rule)
		switch next {
		case decided:
			return v
		case low:
			go l.refill(context.WithoutCancel(ctx), s, k, held)
			return v
		case exhausted:
			l.refill(ctx, s, k, held)
		case requestPending:
			select {
			case <-asking: // askWithin at most
			case <-ctx.Done():
				return Decision{RetryAfter: retryRedisEvery}
			}
		}
	}
	if !l.redisDown.Load() { // so many ask at once that nobody knows: they may come again
		return Decision{RetryAfter: l.timeout}
	}
	l.probe(s, k, held, began)
	return held.spendLocally(l.now().UnixNano(), s.rule)
}

// probe lets one request in a second ask whether Redis is back. It does not wait for
// the answer.
func (l *Limiter) probe(s *scope, k key, held *lease, now int64) {
	next := l.nextRetry.Load()
	if now >= next && l.nextRetry.CompareAndSwap(next, now+int64(retryRedisEvery)) && held.claim() {
		go l.refill(context.Background(), s, k, held)
	}
}

// refill asks Redis for another chunk, for whom spend or claim has chosen to ask.
func (l *Limiter) refill(ctx context.Context, s *scope, k key, held *lease) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	rule := redis_rate.Limit{Rate: s.rule.Rate, Burst: s.rule.Burst, Period: time.Second}
	result, err := l.redis.AllowN(ctx, name(s, k), rule, s.rule.chunk())
	now := l.now().UnixNano()
	if err != nil {
		// Also where ctx is to blame: it does no harm.
		l.nextRetry.Store(now + int64(retryRedisEvery))
		l.redisDown.Store(true)
		l.metrics.local.Set(1)
		held.answer(now, nil)
		return
	}
	if l.redisDown.Swap(false) {
		l.metrics.local.Set(0)
	}
	held.answer(now, result)
}

func name(s *scope, k key) string {
	b := append(make([]byte, 0, 64), "kizo:"...)
	b = append(append(b, s.name...), ':')
	return string(hex.AppendEncode(b, k[:]))
}
