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

	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded"
)

const (
	database    = "kizo"
	buildWithin = 10 * time.Minute // a first build compiles everything
	startWithin = time.Minute
	endWithin   = 30 * time.Second // kizod drains for 25 s at most

	walSegment = 16  // MiB
	walAhead   = 125 // segments, the least and the most that PostgreSQL keeps
)

// Secrets of a bank that lives as long as the rig.
const (
	bankToken      = "rig-bank-token"
	callbackSecret = "rig-callback-secret"
)

// Config of a rig; its zero value will do.
type Config struct {
	Binary     string   // a kizod that is built already; empty: built from this tree
	Dir        string   // where everything lives; kept. Empty: a temporary place, removed
	KizodArgs  []string // of `kizod serve`, after the rig's own, which they override
	Env        []string // NAME=value for kizod
	BankPreset string   // of the mock bank: calm (the default), classic or hell
	// PostgresSettings are parameters of postgresql.conf. A setting that loses
	// money needs kizod's --i-accept-losing-money.
	PostgresSettings map[string]string
	Log              io.Writer // progress; nil: none
}

// Rig is a running Kizo. Its methods may not be called while Start, Restart or
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
	args     []string // of kizod, besides our own
	ready    Ready
	pool     *pgxpool.Pool // as kizo_app, for seeding and counting
	secrets  auth.Secrets
}

// Start brings everything up. What it returns without an error must be closed.
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
	if err := r.makeDir(); err != nil {
		return nil, err
	}
	if err := r.findBinary(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*startWithin)
	defer cancel()
	if err := r.openStores(ctx); err != nil {
		return nil, err
	}
	if err := r.startBank(ctx); err != nil {
		return nil, err
	}
	if r.secrets, err = auth.LoadOrCreateSecrets(r.Path("secrets.json")); err != nil {
		return nil, err
	}
	if err := r.startKizod(ctx, config.KizodArgs); err != nil {
		return nil, err
	}
	return r, nil
}

// layWALOut brings PostgreSQL's log to where it is after an hour of work: its
// segments are there and are used again. A new cluster makes one of 16 MiB, and waits
// for the disk, at every 8,000 transfers or so, which would be all that a p99 shows.
func (r *Rig) layWALOut(ctx context.Context) error {
	statements := slices.Repeat([]string{`SELECT pg_create_restore_point('kizo rig'), pg_switch_wal()`}, walAhead)
	return asAdmin(ctx, r.postgres.URL("postgres", embedded.AdminRole), append(statements, `CHECKPOINT`)...)
}

// Tidy vacuums, analyses and makes a checkpoint, so that what is measured next does not
// pay for what was measured before.
func (r *Rig) Tidy(ctx context.Context) error {
	return asAdmin(ctx, r.AdminURL(), `VACUUM (ANALYZE)`, `CHECKPOINT`)
}

func asAdmin(ctx context.Context, url string, statements ...string) error {
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

func (r *Rig) makeDir() (err error) {
	if r.dir = r.config.Dir; r.dir == "" {
		r.dir, err = os.MkdirTemp("", "kizo-rig-")
	} else if r.dir, err = filepath.Abs(r.dir); err == nil {
		err = os.MkdirAll(r.dir, 0o711) //nolint:gosec // as below
	}
	if err == nil {
		err = os.Chmod(r.dir, 0o711) //nolint:gosec // where we are root, PostgreSQL's own user walks through it
	}
	if err != nil {
		return fmt.Errorf("make a place for the rig: %w", err)
	}
	return nil
}

func (r *Rig) findBinary(ctx context.Context) (err error) {
	if r.config.Binary != "" {
		r.binary, err = filepath.Abs(r.config.Binary)
		return err
	}
	r.binary = r.Path("kizod")
	r.note("building kizod")
	ctx, cancel := context.WithTimeout(ctx, buildWithin)
	defer cancel()
	return Build(ctx, r.binary)
}

func (r *Rig) openStores(ctx context.Context) (err error) {
	wal := fmt.Sprintf("%dMB", walAhead*walSegment)
	settings := map[string]string{"min_wal_size": wal, "max_wal_size": wal}
	maps.Copy(settings, r.config.PostgresSettings)
	if r.postgres, err = embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: r.Path("pg"), Settings: settings}); err != nil {
		return err
	}
	if err := r.layWALOut(ctx); err != nil {
		return err
	}
	if err := r.postgres.EnsureDatabase(ctx, database); err != nil {
		return err
	}
	migrate, err := Spawn(r.binary, []string{"migrate"}, ChildEnvironment("KIZO_MIGRATE_URL="+r.OwnerURL()), r.Path("migrate.log"))
	if err != nil {
		return err
	}
	if err := migrate.Err(); err != nil {
		return fmt.Errorf("kizod migrate: %w\n%s", err, Tail(r.Path("migrate.log")))
	}
	if r.redis, err = embedded.StartRedis(ctx, embedded.RedisConfig{Dir: r.Path("redis")}); err != nil {
		return err
	}
	if r.redis.InProcess() {
		return errors.New("redis-server is not installed: `make deps` installs it")
	}
	r.pool, err = pgxpool.New(ctx, r.AppURL())
	return err
}

// startBank starts the mock bank. It calls nobody back: kizod's port is picked
// after the bank's, and every answer comes with the call.
func (r *Rig) startBank(ctx context.Context) error {
	address, err := FreeAddress()
	if err != nil {
		return err
	}
	r.bankURL = "http://" + address
	r.bank, err = Spawn(r.binary, []string{
		"mockbank", "--bank-listen", address, "--journal", r.Path("bank.jsonl"), "--preset", r.config.BankPreset,
		"--log-format", "json", "--log-level", "warn",
	}, ChildEnvironment("KIZO_BANK_TOKEN="+bankToken, "KIZO_BANK_CALLBACK_SECRET="+callbackSecret), r.Path("bank.log"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	return r.bank.WaitAnswering(ctx, r.bankURL+"/healthz")
}

// Close ends everything, whatever state it is in, and removes the directory if
// it is a temporary one. It may be called again.
func (r *Rig) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	var err error
	if r.kizod != nil {
		r.kizod.End(endWithin)
	}
	if r.bank != nil {
		r.bank.End(endWithin)
	}
	if r.pool != nil {
		r.pool.Close()
	}
	if r.redis != nil {
		err = errors.Join(err, r.redis.Stop(ctx))
	}
	if r.postgres != nil && r.config.Dir == "" {
		err = errors.Join(err, r.postgres.Kill()) // nobody reads the data again
	} else if r.postgres != nil {
		err = errors.Join(err, r.postgres.Stop(ctx))
	}
	if r.config.Dir == "" && r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

// Path is a file of this name in the rig's directory.
func (r *Rig) Path(name string) string { return filepath.Join(r.dir, name) }

// AppURL is the database as kizod has it, OwnerURL as the owner of the tables,
// AdminURL as the superuser.
func (r *Rig) AppURL() string { return r.postgres.URL(database, embedded.AppRole) }

// OwnerURL: see [Rig.AppURL].
func (r *Rig) OwnerURL() string { return r.postgres.URL(database, embedded.OwnerRole) }

// AdminURL: see [Rig.AppURL].
func (r *Rig) AdminURL() string { return r.postgres.URL(database, embedded.AdminRole) }

// RedisAddr is a unix socket.
func (r *Rig) RedisAddr() string { return r.redis.Addr() }

// BankURL is the mock bank's API.
func (r *Rig) BankURL() string { return r.bankURL }

func (r *Rig) note(format string, args ...any) {
	fmt.Fprintf(r.config.Log, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}
