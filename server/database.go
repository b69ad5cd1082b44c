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
	"github.com/prometheus/client_golang/prometheus"

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

	watchDatabaseEvery = 5 * time.Second
	clockTolerance     = time.Second // between the clocks of kizod and PostgreSQL, without a warning
)

// database is the pool of sessions, and what is known of the server behind it:
//
//	error of a session ──ends it? (25006, 57P01-57P03, stale plan)──► the session is closed
//	session taken ──cannot write, and older than 1 s──► it is replaced by a new one
//	every 5 s, and for /readyz ──► does a session write? how far apart are the clocks?
type database struct {
	pool   *pgxpool.Pool
	log    *slog.Logger
	state  lookout[databaseState]
	reset  atomic.Int64 // when the pool was emptied, Unix seconds
	skewed bool         // the clocks were far apart when last looked at; watch's own
	barred bool         // and writes were refused
}

// databaseState is what one look at the database says.
type databaseState struct {
	writable bool
	ahead    time.Duration // of PostgreSQL's clock to ours
	within   time.Duration // how exact ahead is: half of the time that the question took
}

// openDatabase makes the pool. It connects to nothing yet.
func openDatabase(ctx context.Context, config Config, log *slog.Logger) (*database, error) {
	poolConfig, err := pgxpool.ParseConfig(config.DatabaseURL)
	if err != nil {
		return nil, errors.New("the database URL cannot be read") // its text may hold a password
	}
	d := &database{log: log}
	d.state = lookout[databaseState]{moment: 250 * time.Millisecond, ask: d.look}
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
		return !d.endsSession(err) && keep(conn, err)
	}
	poolConfig.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		conn.PgConn().CustomData()[openedAt] = time.Now()
		return nil
	}
	poolConfig.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) { return !outlived(conn.PgConn()), nil }
	if d.pool, err = pgxpool.NewWithConfig(ctx, poolConfig); err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return d, nil
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
func (d *database) endsSession(err *pgconn.PgError) bool {
	if pgerr.IsStalePlan(err) { // the other sessions have prepared the statement as well
		d.emptyPool()
		return true
	}
	return pgerr.IsReadOnly(err) || pgerr.IsShutdown(err)
}

// emptyPool closes the sessions that are idle now, and the others when they are released;
// at most once in a second.
func (d *database) emptyPool() {
	now, last := time.Now().Unix(), d.reset.Load()
	if now > last && d.reset.CompareAndSwap(last, now) {
		d.log.Warn("prepared statements are out of date, opening new database sessions")
		go d.pool.Reset() // not from within a session's own error handler
	}
}

func (d *database) look(ctx context.Context) (databaseState, error) {
	const question = `SELECT clock_timestamp(), NOT current_setting('transaction_read_only')::boolean`
	var (
		s      databaseState
		theirs time.Time
	)
	conn, err := d.pool.Acquire(ctx) // before the clock is looked at: connecting takes time
	if err != nil {
		return s, err
	}
	defer conn.Release()
	asked := time.Now()
	if err := conn.QueryRow(ctx, question).Scan(&theirs, &s.writable); err != nil {
		return s, err
	}
	s.within = time.Since(asked) / 2
	s.ahead = theirs.Sub(asked.Add(s.within))
	return s, nil
}

// watch looks at the database until ctx ends and logs what changes.
func (d *database) watch(ctx context.Context) error {
	tick := time.NewTicker(watchDatabaseEvery)
	defer tick.Stop()
	for {
		looking, cancel := context.WithTimeout(ctx, watchDatabaseEvery)
		state, err := d.look(looking)
		cancel()
		if err == nil {
			d.observe(state)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (d *database) observe(s databaseState) {
	if barred := !s.writable; barred != d.barred {
		d.barred = barred
		if barred {
			d.log.Warn("the database accepts no writes")
		} else {
			d.log.Info("the database accepts writes again")
		}
	}
	if skewed := s.ahead.Abs() > clockTolerance+s.within; skewed != d.skewed {
		d.skewed = skewed
		if skewed {
			d.log.Warn("the clocks of kizod and PostgreSQL differ", "database_ahead", s.ahead.Round(time.Millisecond), "exact_to", s.within)
		} else {
			d.log.Info("the clocks of kizod and PostgreSQL agree again", "database_ahead", s.ahead.Round(time.Millisecond))
		}
	}
}

var (
	databaseWritable = describe("kizo_database_writable", "1 if the database accepts writes, 0 if it only reads or does not answer.")
	clockAhead       = describe("kizo_database_clock_ahead_seconds", "How far PostgreSQL's clock is ahead of kizod's; absent while the database does not answer.")
)

// Describe makes it a Collector.
func (d *database) Describe(out chan<- *prometheus.Desc) {
	out <- databaseWritable
	out <- clockAhead
}

// Collect asks the database unless it has been asked a moment ago.
func (d *database) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWaits)
	defer cancel()
	state, err := d.state.look(ctx, scrapeAccepts)
	gauge(out, databaseWritable, oneIf(err == nil && state.writable))
	if err == nil {
		gauge(out, clockAhead, state.ahead.Seconds())
	}
}
