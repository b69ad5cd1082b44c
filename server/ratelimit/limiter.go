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

// Verdict on one request.
type Verdict struct {
	Allowed    bool
	Remaining  int           // requests that would be allowed at once, as far as is known here
	Reset      time.Duration // until that is the whole burst again
	RetryAfter time.Duration // of a request that was refused
}

const (
	askWithin = 50 * time.Millisecond // more would be felt
	lookAgain = time.Second           // for a Redis that was away
)

// Limiter is safe for concurrent use.
type Limiter struct {
	redis         *redis_rate.Limiter
	user, address scope
	metrics       *Metrics
	now           func() time.Time
	askWithin     time.Duration

	away     atomic.Bool  // Redis does not answer, or not in time
	nextLook atomic.Int64 // for it, Unix nanoseconds
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
		redis: redis_rate.NewLimiter(c.Redis), metrics: c.Metrics, now: c.Now, askWithin: askWithin,
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
func (l *Limiter) User(ctx context.Context, id uuid.UUID) Verdict {
	return l.spend(ctx, &l.user, key(id))
}

// Address spends one request of an IP address's; of an IPv6 address it is the
// network's. A text that is no address is nobody's, and shares one limit with all
// others like it.
func (l *Limiter) Address(ctx context.Context, text string) Verdict {
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

func (l *Limiter) spend(ctx context.Context, s *scope, k key) Verdict {
	if s.rule.off() {
		return Verdict{Allowed: true}
	}
	v := l.decide(ctx, s, k)
	if !v.Allowed {
		l.metrics.limited.WithLabelValues(s.name).Inc()
	}
	return v
}

func (l *Limiter) decide(ctx context.Context, s *scope, k key) Verdict {
	held := s.leases.get(k)
	began := l.now().UnixNano()
	// More than one round where many share a chunk; each round is somebody's answer.
	for now := began; !l.away.Load() && now-began < 2*int64(l.askWithin); now = l.now().UnixNano() {
		v, next, asking := held.spend(now, s.rule)
		switch next {
		case decided:
			return v
		case runningOut:
			go l.refill(context.WithoutCancel(ctx), s, k, held)
			return v
		case ranOut:
			l.refill(ctx, s, k, held)
		case othersAsk:
			select {
			case <-asking: // askWithin at most
			case <-ctx.Done():
				return Verdict{RetryAfter: lookAgain}
			}
		}
	}
	if !l.away.Load() { // so many ask at once that nobody knows: they may come again
		return Verdict{RetryAfter: l.askWithin}
	}
	l.look(s, k, held, began)
	return held.spendAlone(l.now().UnixNano(), s.rule)
}

// look lets one request in a second ask whether Redis is back. It does not wait for
// the answer.
func (l *Limiter) look(s *scope, k key, held *lease, now int64) {
	next := l.nextLook.Load()
	if now >= next && l.nextLook.CompareAndSwap(next, now+int64(lookAgain)) && held.claim() {
		go l.refill(context.Background(), s, k, held)
	}
}

// refill asks Redis for another chunk, for whom spend or claim has chosen to ask.
func (l *Limiter) refill(ctx context.Context, s *scope, k key, held *lease) {
	ctx, cancel := context.WithTimeout(ctx, l.askWithin)
	defer cancel()
	rule := redis_rate.Limit{Rate: s.rule.Rate, Burst: s.rule.Burst, Period: time.Second}
	result, err := l.redis.AllowN(ctx, name(s, k), rule, s.rule.chunk())
	now := l.now().UnixNano()
	if err != nil {
		// Also where ctx is to blame: it does no harm.
		l.nextLook.Store(now + int64(lookAgain))
		l.away.Store(true)
		l.metrics.local.Set(1)
		held.answer(now, nil)
		return
	}
	if l.away.Swap(false) {
		l.metrics.local.Set(0)
	}
	held.answer(now, result)
}

func name(s *scope, k key) string {
	b := append(make([]byte, 0, 64), "kizo:"...)
	b = append(append(b, s.name...), ':')
	return string(hex.AppendEncode(b, k[:]))
}
