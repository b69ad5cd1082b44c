package monitoring

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// openTransactions are the longest open transactions of other sessions of the database.
type openTransactions struct {
	idle  time.Duration // the longest time that a session has idled inside its transaction
	write time.Duration // the age of the oldest transaction that has changed or locked a row
}

// transactionReader reads pg_stat_activity. PostgreSQL shows kizod's role the state of its own
// sessions only, unless the role is a member of pg_read_all_stats; of other sessions it shows the
// transaction id. The age of their transactions is counted from when this process first read
// that id.
type transactionReader struct {
	pool      *pgxpool.Pool
	firstRead map[transactionID]time.Time
}

type transactionID struct {
	pid int32
	xid string
}

const sqlOpenTransactions = `
SELECT pid, COALESCE(backend_xid::text, ''),
       COALESCE(extract(epoch FROM clock_timestamp() - xact_start), -1)::float8,
       CASE WHEN state LIKE 'idle in transaction%' THEN extract(epoch FROM clock_timestamp() - state_change) ELSE 0 END::float8
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid()
   AND (backend_xid IS NOT NULL OR state LIKE 'idle in transaction%')
 LIMIT 10000`

// read is the query of a [cachedProbe], which runs one at a time.
func (r *transactionReader) read(ctx context.Context) (open openTransactions, err error) {
	rows, err := r.pool.Query(ctx, sqlOpenTransactions)
	if err != nil {
		return open, fmt.Errorf("read the sessions of the database: %w", err)
	}
	now, firstRead := time.Now(), map[transactionID]time.Time{}
	var (
		id        transactionID
		age, idle float64
	)
	_, err = pgx.ForEachRow(rows, []any{&id.pid, &id.xid, &age, &idle}, func() error {
		open.idle = max(open.idle, seconds(idle))
		if id.xid == "" {
			return nil
		}
		since, known := r.firstRead[id]
		if !known {
			since = now
		}
		firstRead[id] = since
		if age < 0 { // hidden from this role
			age = now.Sub(since).Seconds()
		}
		open.write = max(open.write, seconds(age))
		return nil
	})
	if err != nil {
		return open, fmt.Errorf("read the sessions of the database: %w", err)
	}
	r.firstRead = firstRead
	return open, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
