package auth

import (
	"crypto/ed25519"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/problem"
)

func TestMain(m *testing.M) {
	pgtest.Main(m, migrations.Apply, pgtest.WithSetting("fsync", "off"))
}

const goodPassword = "correct horse battery staple"

// cheap are parameters with which a hash takes microseconds, for tests that are not about hashing.
var cheap = Argon2Params{MemoryKiB: 8, Time: 1, Threads: 1}

// harness is a service on a database of its own, with a clock that the test advances.
type harness struct {
	*Service
	t      testing.TB
	db     *pgtest.Database
	config Config
	clock  *testClock
	signer ed25519.PrivateKey
}

type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newHarness(t testing.TB, changes ...func(*Config)) *harness {
	t.Helper()
	db := pgtest.New(t)
	pool, err := pgxpool.New(t.Context(), db.AppURL)
	testkit.Must(t, err)
	t.Cleanup(pool.Close)
	h := &harness{
		t: t, db: db,
		clock:  &testClock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		signer: testKey(1),
	}
	keys, err := NewKeys(h.signer)
	testkit.Must(t, err)
	h.config = Config{
		Pool: pool, Keys: keys, Peppers: testPeppers(t, "p1"), Params: cheap, HashSlots: 8, Now: h.clock.Now, Metrics: NewMetrics(),
	}
	for _, change := range changes {
		change(&h.config)
	}
	h.Service = h.another()
	return h
}

// another returns a second process on the same database, perhaps with another configuration.
func (h *harness) another(changes ...func(*Config)) *Service {
	h.t.Helper()
	config := h.config
	for _, change := range changes {
		change(&config)
	}
	s, err := New(config)
	testkit.Must(h.t, err)
	return s
}

// owner returns a service that connects as the owner of the tables, the only role that may grant
// roles.
func (h *harness) owner() *Service {
	h.t.Helper()
	pool, err := pgxpool.New(h.t.Context(), h.db.AdminURL)
	testkit.Must(h.t, err)
	h.t.Cleanup(pool.Close)
	return h.another(func(c *Config) { c.Pool = pool })
}

func (h *harness) signUp(handle string) (Tokens, User) {
	h.t.Helper()
	tokens, user, err := h.SignUp(h.t.Context(), SignUpInput{
		Email: handle + "@example.com", Handle: handle, Name: "Name of " + handle, Password: goodPassword,
		Client: Client{UserAgent: "kizo/1.0", Address: "192.0.2.7"},
	})
	testkit.Must(h.t, err)
	return tokens, user
}

// verify verifies the e-mail address of a user.
func (h *harness) verify(handle string) {
	h.t.Helper()
	_, err := h.owner().VerifyEmail(h.t.Context(), handle, "test")
	testkit.Must(h.t, err)
}

// rename changes the name of a user.
func (h *harness) rename(userID UserID, name string) (User, error) {
	h.t.Helper()
	return h.UpdateProfile(h.t.Context(), userID, ProfileUpdate{Name: &name})
}

func (h *harness) logIn(who string) Tokens {
	h.t.Helper()
	tokens, _, err := h.LogIn(h.t.Context(), who, goodPassword, "", Client{})
	testkit.Must(h.t, err)
	return tokens
}

func (h *harness) scan(sql string, arg any, into ...any) {
	h.t.Helper()
	testkit.Must(h.t, h.pool.QueryRow(h.t.Context(), sql, arg).Scan(into...))
}

// refusal returns the code with which an access token is refused, or "" if it is valid. It fails
// the test on an error that is not a refusal.
func (h *harness) refusal(accessToken string) problem.Code {
	h.t.Helper()
	_, err := h.Verify(h.t.Context(), accessToken)
	return code(h.t, err)
}

func (h *harness) refreshRefusal(refreshToken string) problem.Code {
	h.t.Helper()
	_, _, err := h.Refresh(h.t.Context(), refreshToken, Client{})
	return code(h.t, err)
}

func testKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func testPepper(id string) Pepper {
	key := make([]byte, 32)
	copy(key, id)
	return Pepper{ID: id, Key: NewSecret(key)}
}

func testPeppers(t testing.TB, ids ...string) Peppers {
	t.Helper()
	var all []Pepper
	for _, id := range ids {
		all = append(all, testPepper(id))
	}
	peppers, err := NewPeppers(all[0], all[1:]...)
	testkit.Must(t, err)
	return peppers
}

// code returns the code of a refusal, or "" for nil. It fails the test on other errors.
func code(t testing.TB, err error) problem.Code {
	t.Helper()
	c := problem.CodeOf(err)
	if err != nil && c == "" {
		t.Fatalf("not a refusal: %v", err)
	}
	return c
}

func wantCode(t testing.TB, err error, want problem.Code) {
	t.Helper()
	if got := code(t, err); got != want {
		t.Errorf("code %q, want %q", got, want)
	}
}

var unknownID = UserID(uuid.MustParse("0190a0b0-0000-7000-8000-000000000000"))
