package monitoring

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	watchDatabaseEvery = 5 * time.Second
	databaseFreshFor   = 250 * time.Millisecond
	clockTolerance     = time.Second // between the clocks of kizod and PostgreSQL, without a warning
)

// Database checks whether the database accepts writes, and how far its clock is from kizod's. It
// logs changes of both, and is a [prometheus.Collector].
type Database struct {
	pool  *pgxpool.Pool
	log   *slog.Logger
	state cachedProbe[databaseState]

	// The last logged state; only Watch uses them.
	skewed   bool // the clocks were far apart
	readOnly bool // the database accepted no writes
}

// databaseState is the result of one check.
type databaseState struct {
	writable   bool
	clockAhead time.Duration // of PostgreSQL's clock to kizod's
	precision  time.Duration // of clockAhead: half of the query's round trip
}

// NewDatabase makes a Database. It queries nothing yet.
func NewDatabase(pool *pgxpool.Pool, log *slog.Logger) *Database {
	d := &Database{pool: pool, log: log}
	d.state = cachedProbe[databaseState]{freshFor: databaseFreshFor, query: d.check}
	return d
}

func (d *Database) check(ctx context.Context) (databaseState, error) {
	const sqlCheck = `SELECT clock_timestamp(), NOT current_setting('transaction_read_only')::boolean`
	var (
		s            databaseState
		databaseTime time.Time
	)
	conn, err := d.pool.Acquire(ctx) // before the clock is read: connecting takes time
	if err != nil {
		return s, err
	}
	defer conn.Release()
	started := time.Now()
	if err := conn.QueryRow(ctx, sqlCheck).Scan(&databaseTime, &s.writable); err != nil {
		return s, err
	}
	s.precision = time.Since(started) / 2
	s.clockAhead = databaseTime.Sub(started.Add(s.precision))
	return s, nil
}

// Watch checks the database every 5 seconds until ctx ends, and logs changes. It returns nil.
func (d *Database) Watch(ctx context.Context) error {
	tick := time.NewTicker(watchDatabaseEvery)
	defer tick.Stop()
	for {
		checking, cancel := context.WithTimeout(ctx, watchDatabaseEvery)
		state, err := d.check(checking)
		cancel()
		if err == nil {
			d.logChanges(state)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (d *Database) logChanges(s databaseState) {
	if readOnly := !s.writable; readOnly != d.readOnly {
		d.readOnly = readOnly
		if readOnly {
			d.log.Warn("the database accepts no writes")
		} else {
			d.log.Info("the database accepts writes again")
		}
	}
	if skewed := s.clockAhead.Abs() > clockTolerance+s.precision; skewed != d.skewed {
		d.skewed = skewed
		if skewed {
			d.log.Warn("the clocks of kizod and PostgreSQL differ", "database_ahead", s.clockAhead.Round(time.Millisecond), "exact_to", s.precision)
		} else {
			d.log.Info("the clocks of kizod and PostgreSQL agree again", "database_ahead", s.clockAhead.Round(time.Millisecond))
		}
	}
}

var (
	databaseWritable = describe("kizo_database_writable", "1 if the database accepts writes, 0 if it is read-only or does not answer.")
	clockAhead       = describe("kizo_database_clock_ahead_seconds", "How far PostgreSQL's clock is ahead of kizod's; absent while the database does not answer.")
)

// Describe implements [prometheus.Collector].
func (d *Database) Describe(out chan<- *prometheus.Desc) {
	out <- databaseWritable
	out <- clockAhead
}

// Collect implements [prometheus.Collector]. It queries the database unless a result is cached.
func (d *Database) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	state, err := d.state.get(ctx, scrapeMaxAge)
	gauge(out, databaseWritable, oneIf(err == nil && state.writable))
	if err == nil {
		gauge(out, clockAhead, state.clockAhead.Seconds())
	}
}
