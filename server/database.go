package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/pgerr"
)

const (
	// connectTimeout applies to a host that does not answer; without it, TCP's own timeout of
	// minutes does.
	connectTimeout = 5 * time.Second
	// connectTimeoutEach applies to each host if the URL names several.
	connectTimeoutEach = 2 * time.Second
	// lockTimeout bounds the wait of a statement for a lock, so that one locked row cannot hold
	// all connections of the pool. The ledger's batches have a timeout of their own.
	lockTimeout = 2 * time.Second
	// readOnlyMaxAge is how long a session that cannot write is used. Such a session can read,
	// but does not notice when the database becomes writable.
	readOnlyMaxAge = time.Second
)

// sessionCloser closes database sessions that must not be used any longer:
//
//	a statement fails since the database is read-only or shuts down ──► close the session
//	a statement fails since its prepared plan is stale ───────────────► close all sessions
//	the pool hands out a read-only session older than 1 s ────────────► replace it
type sessionCloser struct {
	pool      *pgxpool.Pool
	log       *slog.Logger
	lastReset atomic.Int64 // when the pool was last emptied, Unix seconds
}

// openDatabase makes the pool of database sessions. It does not connect yet.
func openDatabase(ctx context.Context, config Config, log *slog.Logger) (*pgxpool.Pool, error) {
	poolConfig, err := pgxpool.ParseConfig(config.DatabaseURL)
	if err != nil {
		return nil, errors.New("the database URL cannot be read") // the parser's error may contain the password
	}
	closer := &sessionCloser{log: log}
	poolConfig.MaxConns = config.MaxConnections
	connConfig := poolConfig.ConnConfig
	if connConfig.ConnectTimeout == 0 {
		connConfig.ConnectTimeout = connectTimeout
		if severalHosts(connConfig) {
			connConfig.ConnectTimeout = connectTimeoutEach
		}
	}
	connConfig.RuntimeParams["application_name"] = sessionName
	if _, set := connConfig.RuntimeParams["lock_timeout"]; !set {
		connConfig.RuntimeParams["lock_timeout"] = fmt.Sprintf("%dms", lockTimeout.Milliseconds())
	}
	keepByDefault := connConfig.OnPgError
	connConfig.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		return !closer.endsSession(err) && keepByDefault(conn, err)
	}
	poolConfig.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		conn.PgConn().CustomData()[openedAt] = time.Now()
		return nil
	}
	poolConfig.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) { return !isStaleReadOnly(conn.PgConn()), nil }
	if closer.pool, err = pgxpool.NewWithConfig(ctx, poolConfig); err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return closer.pool, nil
}

// sessionName is the application_name of kizod's sessions. It names the first schema in which a
// transfer has its own postings: versions whose sessions are named kizod do not read those.
const (
	sessionName      = "kizod 4"
	olderSessionName = "kizod"
)

const (
	// olderTimeout is how long a start waits until older versions have disconnected.
	olderTimeout = 5 * time.Minute
	olderPoll    = 200 * time.Millisecond
)

// waitForOlder returns when no kizod of a version before sessionName is connected to the database:
// it would show wrong balances of earlier times, and no event, of the transfers that this version
// posts.
func waitForOlder(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) error {
	const find = `SELECT COALESCE(array_agg(pid ORDER BY pid), '{}') FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = $1`
	ctx, cancel := context.WithTimeout(ctx, olderTimeout)
	defer cancel()
	poll := time.NewTicker(olderPoll)
	defer poll.Stop()
	for attempt := 0; ; attempt++ {
		var pids []int32
		if err := pool.QueryRow(ctx, find, olderSessionName).Scan(&pids); err != nil {
			return fmt.Errorf("look for older versions of kizod: %w", err)
		}
		if len(pids) == 0 {
			return nil
		}
		if attempt == 0 {
			log.Warn("waiting until the kizod of an older version is stopped", "database_sessions", pids)
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("a kizod of an older version is connected to the database (server processes %v of PostgreSQL): stop it first, this version starts when it has gone", pids)
		}
	}
}

func severalHosts(config *pgx.ConnConfig) bool {
	for _, other := range config.Fallbacks {
		if other.Host != config.Host || other.Port != config.Port {
			return true
		}
	}
	return false
}

const openedAt = "kizo.opened_at" // key of a connection's custom data

// isStaleReadOnly reports whether a session cannot write and is older than readOnlyMaxAge. Since
// version 14, PostgreSQL reports both parameters without being asked, so this costs no round trip.
func isStaleReadOnly(conn *pgconn.PgConn) bool {
	if conn.ParameterStatus("default_transaction_read_only") != "on" && conn.ParameterStatus("in_hot_standby") != "on" {
		return false
	}
	opened, _ := conn.CustomData()[openedAt].(time.Time)
	return time.Since(opened) > readOnlyMaxAge
}

// endsSession reports whether the session in which an error occurred must be closed, although
// PostgreSQL may keep it open (PostgreSQL manual, appendix A).
func (c *sessionCloser) endsSession(err *pgconn.PgError) bool {
	if pgerr.IsStalePlan(err) { // the other sessions have prepared the same statements
		c.emptyPool()
		return true
	}
	return pgerr.IsReadOnly(err) || pgerr.IsShutdown(err)
}

// emptyPool closes idle sessions at once and the others when they are released. Calls within the
// same second have one effect.
func (c *sessionCloser) emptyPool() {
	now, last := time.Now().Unix(), c.lastReset.Load()
	if now > last && c.lastReset.CompareAndSwap(last, now) {
		c.log.Warn("prepared statements are out of date, opening new database sessions")
		go c.pool.Reset() // in a goroutine, since the caller is an error handler of a session
	}
}
