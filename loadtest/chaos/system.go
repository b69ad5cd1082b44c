package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded"
)

// Timeouts of operations that have no other.
const (
	startWithin = 60 * time.Second
	endWithin   = 5 * time.Second
)

// system is everything that a run starts. Each part can be stopped and started alone.
type system struct {
	options  options
	dir      string
	binary   string
	hits     string // directory in which kizod creates a file for each failpoint that it passes
	found    *findings
	faultLog *faultLog
	proxy    *proxy
	balancer *balancer
	bank     *bankProcess
	daemons  []*daemon
	ending   context.CancelFunc
	running  sync.WaitGroup

	postgresUp sync.Mutex // locked while PostgreSQL is being stopped or started
	postgres   *embedded.Postgres
	redisUp    sync.Mutex // the same for Redis
	redis      *embedded.Redis
	redisAddr  string // does not change

	cluster  *cluster // in place of both, if it is not nil
	failures []failure
	history  *history
}

// startSystem starts everything, the bank without faults. The caller must close the
// system that it returns.
func startSystem(ctx context.Context, o options, found *findings) (_ *system, err error) {
	h := &system{options: o, found: found, faultLog: newFaultLog(), ending: func() {}}
	if h.dir, err = rig.MakeDir(o.keep); err != nil {
		return h, err
	}
	h.hits = h.path("points")
	if err := os.MkdirAll(h.hits, 0o700); err != nil {
		return h, err
	}
	if h.binary, err = rig.FindBinary(ctx, o.binary, h.dir, "-tags", "failpoints"); err != nil {
		return h, err
	}
	if err := h.openStores(ctx); err != nil {
		return h, err
	}
	if h.balancer, err = startBalancer(h); err != nil {
		return h, err
	}
	if h.bank, err = openBank(h); err != nil {
		return h, err
	}
	return h, h.openDaemons(ctx)
}

func (h *system) openStores(ctx context.Context) (err error) {
	if h.proxy, err = startProxy(h.options.seed); err != nil {
		return err
	}
	owner, err := h.startDatabase(ctx)
	if err != nil {
		return err
	}
	migrate, err := rig.Spawn(h.binary, []string{"migrate"},
		rig.ChildEnvironment("KIZO_MIGRATE_URL="+owner, "KIZO_FAILPOINTS_HIT="+h.hits), h.path("migrate.log"))
	if err != nil {
		return err
	}
	if err := migrate.Err(); err != nil {
		return fmt.Errorf("kizod migrate: %w\n%s", err, rig.Tail(h.path("migrate.log")))
	}
	if err := rig.Execute(ctx, h.adminURL(), logSchema); err != nil {
		return err
	}
	return h.startRedis(ctx)
}

// startDatabase returns the URL of the owner.
func (h *system) startDatabase(ctx context.Context) (owner string, err error) {
	if h.options.cluster {
		h.cluster, err = startCluster(ctx, h.path("ha"), h.options.standby == synchronous)
		return h.cluster.setting("migrate.toml", "migrate_url"), err
	}
	if err := h.startPostgres(ctx); err != nil {
		return "", err
	}
	return h.postgres.URL(rig.Database, embedded.OwnerRole), h.postgres.EnsureDatabase(ctx, rig.Database)
}

func (h *system) startPostgres(ctx context.Context) error {
	p, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{
		Dir: h.path("pg"),
		// %e: checkDatabaseLog reads the SQLSTATE.
		Settings: map[string]string{"log_line_prefix": "%m [%p] %e ", "log_min_error_statement": "panic"},
	})
	if err != nil {
		return err
	}
	h.postgres = p
	h.proxy.aim(filepath.Join(p.SocketDir, fmt.Sprintf(".s.PGSQL.%d", p.Port)))
	return nil
}

func (h *system) startRedis(ctx context.Context) error {
	if h.cluster != nil {
		h.redisAddr = h.cluster.setting("kizod.toml", "redis_url")
		return nil
	}
	if h.options.noRedis {
		h.redisAddr = h.path("no-redis.sock")
		return nil
	}
	r, err := embedded.StartRedis(ctx, embedded.RedisConfig{Dir: h.path("redis")})
	if err != nil {
		return err
	}
	h.redis = r
	if r.InProcess() {
		return errors.New("redis-server is not installed: `make deps` installs it")
	}
	if h.redisAddr != "" && r.Addr() != h.redisAddr {
		return fmt.Errorf("redis moved from %s to %s: set TMPDIR to a shorter path", h.redisAddr, r.Addr())
	}
	h.redisAddr = r.Addr()
	return nil
}

func (h *system) openDaemons(ctx context.Context) error {
	alive, ending := context.WithCancel(context.Background())
	h.ending = ending
	if _, err := auth.LoadOrCreateSecrets(h.path("secrets.json")); err != nil {
		return err
	}
	for i, role := range []string{"api", "api", "worker", "worker", "janitor", "janitor"} {
		h.daemons = append(h.daemons, &daemon{system: h, name: fmt.Sprintf("%s-%d", role, i%2), role: role})
	}
	for _, d := range h.daemons {
		h.running.Go(func() { d.run(alive) })
	}
	return h.waitReady(ctx)
}

func (h *system) waitReady(ctx context.Context) error {
	for _, d := range h.daemons {
		if err := d.waitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close ends everything, in whatever state it is. Further calls do nothing.
func (h *system) close() {
	h.ending()
	h.running.Wait()
	if h.bank != nil {
		h.bank.stop()
	}
	if h.balancer != nil {
		_ = h.balancer.Close()
	}
	h.postgresUp.Lock()
	defer h.postgresUp.Unlock()
	h.redisUp.Lock()
	defer h.redisUp.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 2*endWithin)
	defer cancel()
	if h.redis != nil {
		_ = h.redis.Stop(ctx)
	}
	if h.proxy != nil {
		h.proxy.close()
	}
	if h.postgres != nil {
		_ = h.postgres.Stop(ctx)
	}
	if h.cluster != nil {
		if err := h.cluster.remove(h.options.keep != ""); err != nil {
			h.note("%v", err)
		}
	}
	if h.options.keep == "" && h.dir != "" {
		_ = os.RemoveAll(h.dir)
	}
}

func (h *system) path(name string) string { return filepath.Join(h.dir, name) }

// adminURL connects to PostgreSQL directly, not through the proxy.
func (h *system) adminURL() string {
	if h.cluster != nil {
		return h.cluster.adminURL()
	}
	return h.postgres.URL(rig.Database, embedded.AdminRole)
}

func (h *system) note(format string, args ...any) { rig.Note(h.options.log, format, args...) }

// crashPostgres kills PostgreSQL and starts it again after a while.
func (h *system) crashPostgres(ctx context.Context, away time.Duration) error {
	h.postgresUp.Lock()
	defer h.postgresUp.Unlock()
	began := time.Now()
	defer func() { h.faultLog.outage(began, time.Now()) }()
	if err := h.postgres.Kill(); err != nil {
		return fmt.Errorf("crash PostgreSQL: %w", err)
	}
	rig.Pause(ctx, away)
	// Not the run's context: heal still needs PostgreSQL when that ends.
	return h.startPostgres(context.WithoutCancel(ctx))
}

// killRedis kills Redis and starts it again, empty, after a while.
func (h *system) killRedis(ctx context.Context, away time.Duration) error {
	h.redisUp.Lock()
	defer h.redisUp.Unlock()
	if err := h.redis.Kill(); err != nil {
		return fmt.Errorf("kill Redis: %w", err)
	}
	rig.Pause(ctx, away)
	return h.startRedis(context.WithoutCancel(ctx))
}

// flushRedis deletes everything in Redis.
func (h *system) flushRedis(ctx context.Context) error {
	h.redisUp.Lock()
	defer h.redisUp.Unlock()
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: h.redisAddr})
	defer func() { _ = client.Close() }()
	if err := client.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("flush Redis: %w", err)
	}
	return nil
}

// A trigger adds a row when a payment is opened, claimed, released, marked for review or ended, in
// the same transaction. Renewing a lease adds none.
const logSchema = `
CREATE TABLE chaos_payment_log (
	id bigserial PRIMARY KEY, transfer_id uuid NOT NULL, who text NOT NULL, state text NOT NULL,
	attempts int NOT NULL, fence bigint NOT NULL, old_state text, old_fence bigint, old_lease timestamptz,
	lease_until timestamptz, next_at timestamptz, at timestamptz NOT NULL);
CREATE FUNCTION chaos_log_payment() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	IF TG_OP = 'UPDATE' AND NEW.fence = OLD.fence AND NEW.state = OLD.state
		AND NOT (NEW.lease_until IS NULL AND OLD.lease_until IS NOT NULL) THEN
		RETURN NULL;
	END IF;
	INSERT INTO chaos_payment_log (transfer_id, who, state, attempts, fence, old_state, old_fence, old_lease, lease_until, next_at, at)
	VALUES (NEW.transfer_id, COALESCE(current_setting('kizo_chaos.who', true), ''), NEW.state, NEW.attempts, NEW.fence,
		CASE TG_OP WHEN 'UPDATE' THEN OLD.state END, CASE TG_OP WHEN 'UPDATE' THEN OLD.fence END,
		CASE TG_OP WHEN 'UPDATE' THEN OLD.lease_until END, NEW.lease_until, NEW.next_at, clock_timestamp());
	RETURN NULL;
END $$;
CREATE TRIGGER chaos_log AFTER INSERT OR UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION chaos_log_payment()`
