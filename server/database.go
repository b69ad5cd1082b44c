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
	connectWithin = 5 * time.Second // a host that does not answer; the default is as long as TCP likes
	connectEither = 2 * time.Second // the same where the URL names several hosts
	// lockWithin bounds the wait of a statement for a lock, so that one locked row does not
	// keep all connections of the pool. The ledger's batches have a bound of their own.
	lockWithin = 2 * time.Second
	// readOnlyFor is how long a session that cannot write is used. Such a session can read, but
	// it does not notice that the database has become writable.
	readOnlyFor = time.Second
)

// sessionCloser closes sessions of the pool that are of no more use:
//
//	error that ends a session (25006, 57P01–57P03) ──► the session is closed
//	stale prepared statement ──► the session is closed, and all others of the pool
//	session taken that cannot write and is older than 1 s ──► it is replaced by a new one
type sessionCloser struct {
	pool      *pgxpool.Pool
	log       *slog.Logger
	lastReset atomic.Int64 // when the pool was last emptied, Unix seconds
}

// openDatabase makes the pool. It connects to nothing yet.
func openDatabase(ctx context.Context, config Config, log *slog.Logger) (*pgxpool.Pool, error) {
	poolConfig, err := pgxpool.ParseConfig(config.DatabaseURL)
	if err != nil {
		return nil, errors.New("the database URL cannot be read") // its text may hold a password
	}
	closer := &sessionCloser{log: log}
	poolConfig.MaxConns = config.MaxConnections
	connConfig := poolConfig.ConnConfig
	if connConfig.ConnectTimeout == 0 {
		connConfig.ConnectTimeout = connectWithin
		if severalHosts(connConfig) {
			connConfig.ConnectTimeout = connectEither
		}
	}
	connConfig.RuntimeParams["application_name"] = "kizod"
	if _, set := connConfig.RuntimeParams["lock_timeout"]; !set {
		connConfig.RuntimeParams["lock_timeout"] = fmt.Sprintf("%dms", lockWithin.Milliseconds())
	}
	keep := connConfig.OnPgError
	connConfig.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		return !closer.endsSession(err) && keep(conn, err)
	}
	poolConfig.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		conn.PgConn().CustomData()[openedAt] = time.Now()
		return nil
	}
	poolConfig.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) { return !outlived(conn.PgConn()), nil }
	if closer.pool, err = pgxpool.NewWithConfig(ctx, poolConfig); err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return closer.pool, nil
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

// outlived tells whether a session reports that it cannot write, and has been used for
// readOnlyFor. PostgreSQL reports both parameters by itself (from 14 on): this costs no round trip.
func outlived(conn *pgconn.PgConn) bool {
	if conn.ParameterStatus("default_transaction_read_only") != "on" && conn.ParameterStatus("in_hot_standby") != "on" {
		return false
	}
	opened, _ := conn.CustomData()[openedAt].(time.Time)
	return time.Since(opened) > readOnlyFor
}

// endsSession tells whether an error means that its session is of no more use, although
// PostgreSQL may keep it open (PostgreSQL manual, appendix A).
func (c *sessionCloser) endsSession(err *pgconn.PgError) bool {
	if pgerr.IsStalePlan(err) { // the other sessions have prepared the statement as well
		c.emptyPool()
		return true
	}
	return pgerr.IsReadOnly(err) || pgerr.IsShutdown(err)
}

// emptyPool closes the sessions that are idle now, and the others when they are released;
// at most once in a second.
func (c *sessionCloser) emptyPool() {
	now, last := time.Now().Unix(), c.lastReset.Load()
	if now > last && c.lastReset.CompareAndSwap(last, now) {
		c.log.Warn("prepared statements are out of date, opening new database sessions")
		go c.pool.Reset() // not from within a session's own error handler
	}
}
