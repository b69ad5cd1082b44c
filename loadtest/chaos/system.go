package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

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
	log      io.Writer
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
}

// startSystem starts everything, the bank without faults. The caller must close the
// system that it returns.
func startSystem(ctx context.Context, o options, found *findings) (_ *system, err error) {
	h := &system{options: o, found: found, faultLog: &faultLog{}, log: o.log, ending: func() {}}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
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
	if err := h.startPostgres(ctx); err != nil {
		return err
	}
	if err := h.postgres.EnsureDatabase(ctx, rig.Database); err != nil {
		return err
	}
	owner := h.postgres.URL(rig.Database, embedded.OwnerRole)
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
		h.balancer.close()
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
	if h.options.keep == "" && h.dir != "" {
		_ = os.RemoveAll(h.dir)
	}
}

func (h *system) path(name string) string { return filepath.Join(h.dir, name) }

// adminURL connects to PostgreSQL directly, not through the proxy.
func (h *system) adminURL() string { return h.postgres.URL(rig.Database, embedded.AdminRole) }

func (h *system) note(format string, args ...any) {
	fmt.Fprintf(h.log, "%s  %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}
