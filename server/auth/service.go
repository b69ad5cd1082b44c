package auth

import (
	"cmp"
	"crypto/sha256"
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

// Config configures a [Service]. Pool, Keys and Peppers are required. The other comments give
// the default that replaces a zero value.
type Config struct {
	Pool    *pgxpool.Pool // connected as kizo_app
	Keys    *Keys
	Peppers Peppers

	Params          Argon2Params     // DefaultArgon2Params
	Hasher          Hasher           // InProcess
	HashSlots       int              // concurrent password hashes: DefaultHashSlots
	HashMaxWait     time.Duration    // a caller whose expected wait is longer is refused at once: 10 s
	AccessTTL       time.Duration    // 15 minutes
	SessionLifetime time.Duration    // from the log-in to the end of a session, however it is used: 90 days
	SessionIdle     time.Duration    // after which a session that is not used ends: 14 days
	DevicePoll      time.Duration    // between two polls of a device that waits for its approval: 5 s; whole seconds, 1 to 60
	Lease           time.Duration    // maximum age of the session cache: 250 ms
	Issuer          string           // "kizo"
	Audience        string           // "kizo"
	Now             func() time.Time // time.Now
	Metrics         *Metrics         // not registered anywhere
	Logger          *slog.Logger     // logs security events: discarded
}

const (
	maxLookUp     = 512             // sessions or keys per query of Verify
	lookUpTimeout = 5 * time.Second // timeout of that query
	writeTimeout  = 5 * time.Second // timeout of a change that continues when its caller's context ends
)

// Service manages users, sessions and tokens. Safe for concurrent use.
type Service struct {
	pool            *pgxpool.Pool
	secrets         atomic.Pointer[keyring]
	hashQueue       *hashQueue
	throttle        *throttle
	sessionLookUps  *coalescer[uuid.UUID, sessionState]
	keyLookUps      *coalescer[[sha256.Size]byte, foundAPIKey]
	keyUses         *keyUses
	cache           *sessionCache
	events          *eventLog
	foundByEmail    *cache.Map[lookUp, struct{}]
	accessTTL       time.Duration
	sessionLifetime time.Duration
	sessionIdle     time.Duration
	clock           func() time.Time
	config          Config
}

// keyring contains everything that depends on the secrets. A reload replaces it as a whole.
type keyring struct {
	keys      *Keys
	tokens    *tokens
	passwords *passwords
}

func newKeyring(c Config) *keyring {
	return &keyring{
		keys:      c.Keys,
		tokens:    newTokens(c.Keys, c.Issuer, c.Audience, c.Now), // with an empty cache: no token of a removed key is valid
		passwords: newPasswords(c.Peppers, c.Params),
	}
}

func (s *Service) keyring() *keyring { return s.secrets.Load() }

// UseSecrets replaces the signing keys and peppers for later calls. Failed log-ins are counted
// under the current pepper, so a new pepper resets the counts.
func (s *Service) UseSecrets(keys *Keys, peppers Peppers) {
	c := s.config
	c.Keys, c.Peppers = keys, peppers
	s.secrets.Store(newKeyring(c))
}

// New returns a Service. It starts no goroutine and needs no closing.
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
	case c.AccessTTL < time.Second || c.SessionLifetime < c.AccessTTL || c.SessionIdle < c.AccessTTL:
		return nil, errors.New("auth: an access token must live for a second or more, and a session longer than that")
	}
	if err := c.Params.check(); err != nil {
		return nil, err
	}
	s := &Service{
		pool:            c.Pool,
		hashQueue:       newHashQueue(c),
		accessTTL:       c.AccessTTL,
		sessionLifetime: c.SessionLifetime,
		sessionIdle:     c.SessionIdle,
		clock:           c.Now,
		config:          c,
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
	s.keyLookUps = &coalescer[[sha256.Size]byte, foundAPIKey]{query: s.lookUpAPIKeys, max: maxLookUp, timeout: lookUpTimeout}
	s.keyUses = newKeyUses(c.Pool)
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
	if c.SessionLifetime == 0 {
		c.SessionLifetime = DefaultSessionLifetime
	}
	if c.SessionIdle == 0 {
		c.SessionIdle = DefaultSessionIdle
	}
	if c.DevicePoll == 0 {
		c.DevicePoll = 5 * time.Second
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

const (
	// DefaultSessionLifetime and DefaultSessionIdle are the limits of OWASP ASVS 5.0, 7.3, for
	// users who confirm what matters with a password.
	DefaultSessionLifetime = 90 * 24 * time.Hour
	DefaultSessionIdle     = 14 * 24 * time.Hour
)

// DefaultHashSlots returns the number of CPUs: hashes have the lowest priority, so they use
// only CPU time that nothing else needs.
func DefaultHashSlots() int { return runtime.GOMAXPROCS(0) }

const (
	// DefaultHashMaxWait is how long users accept to wait for a log-in.
	DefaultHashMaxWait = 10 * time.Second
	// MaxHashMaxWait is the maximum of Config.HashMaxWait. Hashing may become slower after a
	// caller was accepted, so the other half of HashRequestTimeout is kept in reserve.
	MaxHashMaxWait = HashRequestTimeout / 2
	// HashRequestTimeout is the timeout of a request that hashes a password. The timeout of
	// clients is longer.
	HashRequestTimeout = time.Minute
)

// JWKS returns the public keys that verify access tokens, as a JWK Set.
func (s *Service) JWKS() []byte { return s.keyring().keys.JWKS() }

// now returns the time with the precision of the database, so that a time is unchanged after
// it was stored and read.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// newID returns a UUIDv7: ids increase with time, so new ones are adjacent in an index.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
