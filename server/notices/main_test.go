package notices_test

import (
	"crypto/ed25519"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/notices"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" { // of TestWatchersProcessEachPaymentOnce
		runChild()
	}
	pgtest.Main(m, migrations.Apply, pgtest.WithSetting("fsync", "off"))
}

const password = "correct horse battery staple"

// harness is an inbox with users.
type harness struct {
	*notices.Inbox
	t     testing.TB
	db    *pgtest.Database
	pool  *pgxpool.Pool // as kizo_app
	admin *pgxpool.Pool
	auth  *auth.Service
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{t: t, db: pgtest.New(t)}
	h.pool, h.admin = newPool(t, h.db.AppURL), newPool(t, h.db.AdminURL)
	h.Inbox, h.auth = notices.New(h.pool), newAuth(t, h.pool)
	return h
}

func newPool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	testkit.Must(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func newAuth(t testing.TB, pool *pgxpool.Pool) *auth.Service {
	t.Helper()
	keys, err := auth.NewKeys(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	testkit.Must(t, err)
	peppers, err := auth.NewPeppers(auth.Pepper{ID: "p1", Key: auth.NewSecret(make([]byte, 32))})
	testkit.Must(t, err)
	service, err := auth.New(auth.Config{Pool: pool, Keys: keys, Peppers: peppers, Params: auth.Argon2Params{MemoryKiB: 8, Time: 1, Threads: 1}})
	testkit.Must(t, err)
	return service
}

func (h *harness) signUp(handle string) auth.User {
	h.t.Helper()
	_, user, err := h.auth.SignUp(h.t.Context(), auth.SignUpInput{Email: handle + "@example.com", Handle: handle, Name: handle, Password: password})
	testkit.Must(h.t, err)
	return user
}

// record stores a security event of a user n times.
func (h *harness) record(user auth.User, event string, n int) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), `INSERT INTO security_events (at, user_id, event, client, address, detail)
		SELECT now(), $1, $2, 'kizo/1.0', '192.0.2.7', n::text FROM generate_series(1, $3) n`, user.ID, event, n)
	testkit.Must(h.t, err)
}

func (h *harness) list(user auth.User, q notices.Query) notices.Page {
	h.t.Helper()
	page, err := h.List(h.t.Context(), user.ID, q)
	testkit.Must(h.t, err)
	return page
}
