package auth

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/cache"
)

// Config is what a [Service] needs. Pool, Keys and Peppers are required; every
// other zero value takes the default beside it.
type Config struct {
	Pool    *pgxpool.Pool // connected as kizo_app
	Keys    *Keys
	Peppers Peppers

	Params      Argon2Params     // DefaultArgon2Params
	Hasher      Hasher           // InProcess
	HashSlots   int              // password hashes at a time: as many as CPUs
	HashMaxWait time.Duration    // a caller that would wait longer for its hash is refused at once: 10 s
	AccessTTL   time.Duration    // 15 minutes
	RefreshTTL  time.Duration    // life of a session, absolute: 30 days
	Lease       time.Duration    // how long what is remembered of a session may be behind: 250 ms
	Issuer      string           // "kizo"
	Audience    string           // "kizo"
	Now         func() time.Time // time.Now
	Metrics     *Metrics         // seen by nobody
	Logger      *slog.Logger     // of security events; none are logged
}

const (
	maxLookUp     = 512             // sessions per query of Verify
	lookUpTimeout = 5 * time.Second // of that query
	writeTimeout  = 5 * time.Second // of a change that outlives its caller
)

// Service is the one door to users and sessions. Safe for concurrent use.
type Service struct {
	pool           *pgxpool.Pool
	secrets        atomic.Pointer[keyring]
	hashQueue      *hashQueue
	throttle       *throttle
	sessionLookUps *coalescer[uuid.UUID, sessionState]
	cache          *sessionCache
	events         *eventLog
	foundByEmail   *cache.Map[lookUp, struct{}]
	accessTTL      time.Duration
	refreshTTL     time.Duration
	clock          func() time.Time
	config         Config
}

// keyring is what follows from the secrets; a reload replaces all of it at once.
type keyring struct {
	keys      *Keys
	tokens    *tokens
	passwords *passwords
}

func newKeyring(c Config) *keyring {
	return &keyring{
		keys:      c.Keys,
		tokens:    newTokens(c.Keys, c.Issuer, c.Audience, c.Now), // tokens that a removed key signed are no longer remembered
		passwords: newPasswords(c.Peppers, c.Params),
	}
}

func (s *Service) keyring() *keyring { return s.secrets.Load() }

// UseSecrets replaces the signing keys and peppers, for requests from now on. Failed
// log-ins are counted under the current pepper: a new one forgets them.
func (s *Service) UseSecrets(keys *Keys, peppers Peppers) {
	c := s.config
	c.Keys, c.Peppers = keys, peppers
	s.secrets.Store(newKeyring(c))
}

// New returns a Service. It starts nothing and needs no closing.
func New(c Config) (*Service, error) {
	c = c.withDefaults()
	switch {
	case c.Pool == nil:
		return nil, errors.New("auth: no database pool")
	case c.Keys == nil:
		return nil, errors.New("auth: no signing keys")
	case c.Peppers.current.ID == "":
		return nil, errors.New("auth: no pepper")
	case c.HashSlots < 1 || c.HashSlots > 1024:
		return nil, errors.New("auth: hash slots must be 1 to 1024")
	case c.HashMaxWait < 0 || c.HashMaxWait > MaxHashMaxWait:
		return nil, fmt.Errorf("auth: the deadline of a hash must be from 0 to %v", MaxHashMaxWait)
	case c.AccessTTL < time.Second || c.RefreshTTL < c.AccessTTL:
		return nil, errors.New("auth: an access token must live for a second or more, and a session longer than that")
	}
	if err := c.Params.check(); err != nil {
		return nil, err
	}
	s := &Service{
		pool:       c.Pool,
		hashQueue:  newHashQueue(c),
		accessTTL:  c.AccessTTL,
		refreshTTL: c.RefreshTTL,
		clock:      c.Now,
		config:     c,
	}
	s.events = &eventLog{log: c.Logger, count: func(e SecurityEvent) { c.Metrics.events.WithLabelValues(string(e)).Inc() }}
	s.foundByEmail = cache.New[lookUp, struct{}](maxCached)
	s.secrets.Store(newKeyring(c))
	s.cache = newSessionCache(c.Lease, s.readChanges)
	s.throttle = &throttle{
		pool: c.Pool, pepper: func() Secret { return s.keyring().passwords.peppers.current.Key }, clock: s.now,
		count: func(scope string) { c.Metrics.throttled.WithLabelValues(scope).Inc() },
	}
	s.sessionLookUps = &coalescer[uuid.UUID, sessionState]{query: s.lookUpSessions, max: maxLookUp, timeout: lookUpTimeout}
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Params == (Argon2Params{}) {
		c.Params = DefaultArgon2Params()
	}
	if c.Hasher == nil {
		c.Hasher = InProcess{}
	}
	c.HashSlots = cmp.Or(c.HashSlots, DefaultHashSlots())
	c.HashMaxWait = cmp.Or(c.HashMaxWait, DefaultHashMaxWait)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics()
	}
	if c.AccessTTL == 0 {
		c.AccessTTL = 15 * time.Minute
	}
	if c.RefreshTTL == 0 {
		c.RefreshTTL = 30 * 24 * time.Hour
	}
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	if c.Issuer == "" {
		c.Issuer = "kizo"
	}
	if c.Audience == "" {
		c.Audience = "kizo"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// DefaultHashSlots is one for each CPU: hashes have the lowest priority, so they take
// only what nothing else uses.
func DefaultHashSlots() int { return runtime.GOMAXPROCS(0) }

const (
	// DefaultHashMaxWait is what people accept to wait for a sign-in.
	DefaultHashMaxWait = 10 * time.Second
	// MaxHashMaxWait leaves a caller that was accepted half of its request's time for
	// a machine that has become slower since (see HashRequestTimeout).
	MaxHashMaxWait = HashRequestTimeout / 2
	// HashRequestTimeout bounds a request that hashes a password. Clients wait longer.
	HashRequestTimeout = time.Minute
)

// JWKS returns the public keys that verify access tokens, as a JWK Set.
func (s *Service) JWKS() []byte { return s.keyring().keys.JWKS() }

// now has the database's precision, so that a time compares equal to itself
// after a round trip.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// newID returns a UUIDv7: ids grow with time and so stay together in an index.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
