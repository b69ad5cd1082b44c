// Package pgtest gives each test a PostgreSQL database of its own.
//
//	Main ─► one server per test binary, started when first needed
//	          └─ template, migrated once
//	               ├─ CREATE DATABASE … TEMPLATE ─► New(t)   test A
//	               └─ CREATE DATABASE … TEMPLATE ─► New(t)   test B
//
// What most people need:
//
//	func TestMain(m *testing.M) { pgtest.Main(m, migrations.Up) }
//
//	func TestTransfer(t *testing.T) {
//		t.Parallel()
//		db := pgtest.New(t)
//		pool, err := pgxpool.New(t.Context(), db.AppURL)
//
// The server is as durable as a real one; see [WithSetting]. It ends with the
// test binary, also with a killed one (on Linux; elsewhere the next run tidies
// up). Works as root and as anybody else.
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

// Migrate brings an empty database to the schema that the tests want, as the
// owner. It has to close its connections: a template is copied only when
// nobody is connected to it.
type Migrate func(ctx context.Context, adminURL string) error

// Option changes the server of the test binary.
type Option func(*embedded.PostgresConfig)

// WithSetting sets a parameter of postgresql.conf, such as fsync=off for tests
// that write much and crash nothing.
func WithSetting(name, value string) Option {
	return func(cfg *embedded.PostgresConfig) {
		if cfg.Settings == nil {
			cfg.Settings = map[string]string{}
		}
		cfg.Settings[name] = value
	}
}

// Database is a test's own, dropped when the test ends.
type Database struct {
	Name         string
	AdminURL     string // role kizo_owner, who owns the database and may migrate
	AppURL       string // role kizo_app, with what the migrations granted
	SuperuserURL string // role kizo_admin, for faults: pg_terminate_backend and the like
}

// shared is the one server of this test binary: there is one, whoever asks.
var shared = &cluster{}

// Main runs the tests and stops the server after them. To be called by
// TestMain, as its last deed; migrate may be nil.
func Main(m *testing.M, migrate Migrate, options ...Option) {
	shared.migrate, shared.options = migrate, options
	shared.hasMain = true
	defer shared.stop()
	m.Run() // its result is remembered, and becomes the exit code
}

// New makes a database with the schema that Main's function made. Tests that
// use it may be parallel.
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

	mu    sync.Mutex // one CREATE DATABASE at a time: see Migrate
	admin *pgx.Conn
	count int
	ready bool // the template is migrated, or its failure is known
	bad   error
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

// patience bounds each step; it is for a machine that is very busy.
const patience = 2 * time.Minute

func (c *cluster) up() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	sweep()
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
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if template == kizoTemplate && !c.ready {
		c.ready = true
		if c.migrate != nil {
			c.bad = c.migrate(ctx, c.pg.URL(kizoTemplate, embedded.OwnerRole))
		}
	}
	if template == kizoTemplate && c.bad != nil {
		return "", fmt.Errorf("migrate the template: %w", c.bad)
	}
	c.count++
	name := databaseName(c.count, test)
	sql := fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s OWNER %s", name, template, embedded.OwnerRole)
	if _, err := c.admin.Exec(ctx, sql); err != nil {
		return "", fmt.Errorf("%s: %w", sql, err)
	}
	if template == kizoTemplate {
		// A copy has the tables of its template, and not the privileges on the database.
		if _, err := c.admin.Exec(ctx, "REVOKE TEMPORARY ON DATABASE "+name+" FROM PUBLIC"); err != nil {
			return "", fmt.Errorf("revoke temporary tables in %s: %w", name, err)
		}
	}
	return name, nil
}

// drop also ends the connections that a test forgot, or that it lost.
func (c *cluster) drop(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
		c.pg.Kill() // nobody reads the data again, so it need not be closed well
	}
	if c.dir != "" {
		os.RemoveAll(c.dir)
	}
}

var notWord = regexp.MustCompile(`[^a-z0-9]+`)

// databaseName is short enough for an identifier (63 bytes), and still says
// in pg_stat_activity and in the log whose it is.
func databaseName(n int, test string) string {
	name := fmt.Sprintf("t%d_%s", n, notWord.ReplaceAllString(strings.ToLower(test), "_"))
	return name[:min(len(name), 63)]
}
