package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded"
)

// Database is the name of the rig's database.
const Database = "kizo"

const (
	startTimeout = time.Minute
	stopTimeout  = 30 * time.Second // kizod drains for at most 25 s

	walSegment  = 16  // MiB
	walSegments = 125 // that PostgreSQL keeps
)

// Config of a rig. The zero value is valid.
type Config struct {
	Binary     string   // an existing kizod; empty: built from this tree
	KizodArgs  []string // of `kizod serve`, after the rig's own, which they override
	Env        []string // NAME=value for kizod
	BankPreset string   // of the mock bank: calm (the default), classic or hell
	// PostgresSettings are parameters of postgresql.conf. A setting that loses
	// money needs kizod's --i-accept-losing-money.
	PostgresSettings map[string]string
	DatabaseOnly     bool      // start PostgreSQL as `kizod dev` does, and nothing else
	Log              io.Writer // progress; nil: none
}

// Rig is a running Kizo. Its methods must not be called while Start, Restart or
// Close runs.
type Rig struct {
	config   Config
	dir      string
	binary   string
	postgres *embedded.Postgres
	redis    *embedded.Redis
	bank     *Process
	bankURL  string
	kizod    *Process
	args     []string // of kizod, besides the rig's own
	ready    Ready
	second   *Process // another kizod on the same database
	secondAt Ready
	pool     *pgxpool.Pool // as kizo_app, for seeding and counting
	secrets  auth.Secrets
	seeded   int // users so far
}

// Start starts everything. The caller must close the rig that it returns.
func Start(ctx context.Context, config Config) (_ *Rig, err error) {
	if config.Log == nil {
		config.Log = io.Discard
	}
	if config.BankPreset == "" {
		config.BankPreset = "calm"
	}
	r := &Rig{config: config}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.dir, err = MakeDir(""); err != nil {
		return nil, err
	}
	if !config.DatabaseOnly {
		r.note("building kizod, unless it is given")
		if r.binary, err = FindBinary(ctx, config.Binary, r.dir); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*startTimeout)
	defer cancel()
	if err := r.startDatabase(ctx); err != nil || config.DatabaseOnly {
		return r, err
	}
	if r.redis, err = embedded.StartRedis(ctx, embedded.RedisConfig{Dir: r.Path("redis")}); err != nil {
		return nil, err
	}
	if r.redis.InProcess() {
		return nil, errors.New("redis-server is not installed: `make deps` installs it")
	}
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	r.bankURL = "http://" + address
	if r.bank, err = StartBank(ctx, r.binary, r.dir, address, "--preset", config.BankPreset); err != nil {
		return nil, err
	}
	if r.secrets, err = auth.LoadOrCreateSecrets(r.Path("secrets.json")); err != nil {
		return nil, err
	}
	return r, r.startKizod(ctx, config.KizodArgs)
}

// extendWAL gives PostgreSQL as many WAL segments as it has after an hour of work,
// which it then recycles. A new cluster creates one of 16 MiB, and waits for the disk,
// at every 8,000 transfers or so, which would dominate the p99.
func (r *Rig) extendWAL(ctx context.Context) error {
	statements := slices.Repeat([]string{`SELECT pg_create_restore_point('kizo rig'), pg_switch_wal()`}, walSegments)
	return Execute(ctx, r.postgres.URL("postgres", embedded.AdminRole), append(statements, `CHECKPOINT`)...)
}

// Tidy vacuums, analyzes and makes a checkpoint, so that what is measured next does not
// pay for what was measured before.
func (r *Rig) Tidy(ctx context.Context) error {
	return Execute(ctx, r.AdminURL(), `VACUUM (ANALYZE)`, `CHECKPOINT`)
}

// Execute executes statements, one after the other, on a connection of its own.
func Execute(ctx context.Context, url string, statements ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// MakeDir makes the directory that a run works in: a temporary one if path is empty.
// It returns its absolute path.
func MakeDir(path string) (dir string, err error) {
	if path == "" {
		dir, err = os.MkdirTemp("", "kizo-rig-")
	} else if dir, err = filepath.Abs(path); err == nil {
		err = os.MkdirAll(dir, 0o711) //nolint:gosec // as below
	}
	if err == nil {
		err = os.Chmod(dir, 0o711) //nolint:gosec // under root PostgreSQL runs as another user, who passes through
	}
	if err != nil {
		return dir, fmt.Errorf("make the working directory: %w", err)
	}
	return dir, nil
}

func (r *Rig) startDatabase(ctx context.Context) (err error) {
	settings := r.config.PostgresSettings
	if !r.config.DatabaseOnly {
		wal := fmt.Sprintf("%dMB", walSegments*walSegment)
		settings = map[string]string{"min_wal_size": wal, "max_wal_size": wal}
		maps.Copy(settings, r.config.PostgresSettings)
	}
	if r.postgres, err = embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: r.Path("pg"), Settings: settings}); err != nil {
		return err
	}
	if !r.config.DatabaseOnly {
		if err := r.extendWAL(ctx); err != nil {
			return err
		}
	}
	if err := r.CreateDatabase(ctx, Database); err != nil {
		return err
	}
	r.pool, err = pgxpool.New(ctx, r.AppURL()+"&application_name="+ApplicationName)
	return err
}

// ApplicationName is what the rig's own connections are called in pg_stat_activity.
const ApplicationName = "kizo_rig"

// CreateDatabase creates a database with Kizo's tables in the rig's PostgreSQL.
func (r *Rig) CreateDatabase(ctx context.Context, name string) error {
	if err := r.postgres.EnsureDatabase(ctx, name); err != nil {
		return err
	}
	return migrations.Apply(ctx, r.postgres.URL(name, embedded.OwnerRole))
}

// Close stops everything, in whatever state it is, and removes the directory. It may be
// called again.
func (r *Rig) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var err error
	r.second.End(stopTimeout)
	r.kizod.End(stopTimeout)
	r.bank.End(stopTimeout)
	if r.pool != nil {
		r.pool.Close()
	}
	if r.redis != nil {
		err = errors.Join(err, r.redis.Stop(ctx))
	}
	if r.postgres != nil {
		err = errors.Join(err, r.postgres.Kill()) // the data is removed
	}
	if r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

// Path is a file of this name in the rig's directory.
func (r *Rig) Path(name string) string { return filepath.Join(r.dir, name) }

// DatabaseURL is the URL of a database in the rig's PostgreSQL for a role.
func (r *Rig) DatabaseURL(name, role string) string { return r.postgres.URL(name, role) }

// AppURL is the URL of the database for kizod.
func (r *Rig) AppURL() string { return r.postgres.URL(Database, embedded.AppRole) }

// OwnerURL is the URL of the database for the owner of the tables.
func (r *Rig) OwnerURL() string { return r.postgres.URL(Database, embedded.OwnerRole) }

// AdminURL is the URL of the database for the superuser.
func (r *Rig) AdminURL() string { return r.postgres.URL(Database, embedded.AdminRole) }

func (r *Rig) note(format string, args ...any) { Note(r.config.Log, format, args...) }
