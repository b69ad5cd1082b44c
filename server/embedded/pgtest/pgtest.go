// Package pgtest gives each test a PostgreSQL database of its own.
//
//	Main ─► one server per test binary, started by the first test that needs it
//	          └─ template, migrated once
//	               ├─ CREATE DATABASE … TEMPLATE ─► New(t)   test A
//	               └─ CREATE DATABASE … TEMPLATE ─► New(t)   test B
//
// Typical use:
//
//	func TestMain(m *testing.M) { pgtest.Main(m, migrations.Apply) }
//
//	func TestTransfer(t *testing.T) {
//		t.Parallel()
//		db := pgtest.New(t)
//		pool, err := pgxpool.New(t.Context(), db.AppURL)
//
// The server is as durable as one in production; [WithSetting] changes that. It ends with the test
// binary. If that is killed, it ends at once on Linux, and at the next run on other systems. The
// package works as root and as any other user. Only tests import it.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/embedded"
)

// Migrate makes the schema of the tests in an empty database, as its owner. It must close its
// connections, since PostgreSQL copies a template only if no session is connected to it.
type Migrate func(ctx context.Context, adminURL string) error

// Option changes the server of the test binary.
type Option func(*embedded.PostgresConfig)

// WithSetting sets a parameter of postgresql.conf, such as fsync=off for tests that write much and
// do not crash the server.
func WithSetting(name, value string) Option {
	return func(cfg *embedded.PostgresConfig) {
		if cfg.Settings == nil {
			cfg.Settings = map[string]string{}
		}
		cfg.Settings[name] = value
	}
}

// Database is the database of one test. It is dropped when the test ends.
type Database struct {
	Name         string
	AdminURL     string // of role kizo_owner, which owns the database and may migrate
	AppURL       string // of role kizo_app, with the privileges that the migrations granted
	SuperuserURL string // of role kizo_admin, for pg_terminate_backend and similar faults
}

// shared is the server of this test binary.
var shared = &cluster{}

// Main runs the tests and then stops the server. TestMain calls it as its last statement. migrate
// may be nil.
func Main(m *testing.M, migrate Migrate, options ...Option) {
	shared.migrate, shared.options = migrate, options
	shared.hasMain = true
	defer shared.stop()
	m.Run() // m keeps the exit code, with which the process ends
}

// New makes a database with the schema that the migrate function of Main makes. Tests that use it
// may run in parallel.
func New(t testing.TB) *Database {
	t.Helper()
	return shared.database(t, kizoTemplate)
}

// Empty makes a database without any schema, for tests of the migrations.
func Empty(t testing.TB) *Database {
	t.Helper()
	return shared.database(t, "template1")
}

const kizoTemplate = "kizo_template"

type cluster struct {
	hasMain bool
	migrate Migrate
	options []Option

	start  sync.Once
	failed error
	pg     *embedded.Postgres
	dir    string

	mu         sync.Mutex // one CREATE DATABASE at a time: see Migrate
	admin      *pgx.Conn
	count      int
	ready      bool // the template was migrated, or that failed
	migrateErr error
}

func (c *cluster) database(t testing.TB, template string) *Database {
	t.Helper()
	if !c.hasMain {
		t.Fatal("pgtest: this package needs a TestMain that calls pgtest.Main")
	}
	c.start.Do(func() { c.failed = c.up() })
	if c.failed != nil {
		t.Fatalf("pgtest: %v", c.failed)
	}
	name, err := c.create(t.Name(), template)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := c.drop(name); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return &Database{
		Name:         name,
		AdminURL:     c.pg.URL(name, embedded.OwnerRole),
		AppURL:       c.pg.URL(name, embedded.AppRole),
		SuperuserURL: c.pg.URL(name, embedded.AdminRole),
	}
}

// stepTimeout bounds each step. It is long enough for a very busy machine.
const stepTimeout = 2 * time.Minute

func (c *cluster) up() error {
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	removeLeftovers()
	var err error
	if c.dir, err = tempDir(); err != nil {
		return err
	}
	cfg := embedded.PostgresConfig{Dir: c.dir}
	for _, option := range c.options {
		option(&cfg)
	}
	if c.pg, err = embedded.StartPostgres(ctx, cfg); err != nil {
		return err
	}
	if err := c.pg.EnsureDatabase(ctx, kizoTemplate); err != nil {
		return err
	}
	c.admin, err = pgx.Connect(ctx, c.pg.URL("postgres", embedded.AdminRole))
	return err
}

func (c *cluster) create(test, template string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if template == kizoTemplate && !c.ready {
		c.ready = true
		if c.migrate != nil {
			c.migrateErr = c.migrate(ctx, c.pg.URL(kizoTemplate, embedded.OwnerRole))
		}
	}
	if template == kizoTemplate && c.migrateErr != nil {
		return "", fmt.Errorf("migrate the template: %w", c.migrateErr)
	}
	c.count++
	name := databaseName(c.count, test)
	sql := fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s OWNER %s", name, template, embedded.OwnerRole)
	if _, err := c.admin.Exec(ctx, sql); err != nil {
		return "", fmt.Errorf("%s: %w", sql, err)
	}
	if template == kizoTemplate {
		// CREATE DATABASE copies the tables of the template, but not the privileges on the
		// database.
		if _, err := c.admin.Exec(ctx, "REVOKE TEMPORARY ON DATABASE "+name+" FROM PUBLIC"); err != nil {
			return "", fmt.Errorf("revoke temporary tables in %s: %w", name, err)
		}
	}
	return name, nil
}

// drop also ends connections that the test has not closed.
func (c *cluster) drop(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop %s: %w", name, err)
	}
	return nil
}

func (c *cluster) stop() {
	if c.pg != nil {
		c.pg.Kill() // no recovery will be needed: the data is deleted
	}
	if c.dir != "" {
		os.RemoveAll(c.dir)
	}
}

var notWord = regexp.MustCompile(`[^a-z0-9]+`)

// databaseName returns a name that fits into an identifier (63 bytes) and shows, in
// pg_stat_activity and in the log, which test has the database.
func databaseName(n int, test string) string {
	name := fmt.Sprintf("t%d_%s", n, notWord.ReplaceAllString(strings.ToLower(test), "_"))
	return name[:min(len(name), 63)]
}
