package server

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// sessionsView is what the other sessions of the database do.
type sessionsView struct {
	idle  time.Duration // the longest that a session idles inside its transaction
	write time.Duration // the age of the oldest transaction that has changed or locked a row
}

// sessionWatch reads pg_stat_activity. PostgreSQL shows kizod's role the state of its own
// sessions alone, unless it is a member of pg_read_all_stats; of the others it shows the
// transaction id. The age of their transactions is counted from when this process first
// saw that id.
type sessionWatch struct {
	pool *pgxpool.Pool
	seen map[openTransaction]time.Time
}

type openTransaction struct {
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

// ask is called by one caller at a time: see [lookout].
func (w *sessionWatch) ask(ctx context.Context) (view sessionsView, err error) {
	rows, err := w.pool.Query(ctx, sqlOpenTransactions)
	if err != nil {
		return view, fmt.Errorf("read the sessions of the database: %w", err)
	}
	now, seen := time.Now(), map[openTransaction]time.Time{}
	var (
		t         openTransaction
		age, idle float64
	)
	_, err = pgx.ForEachRow(rows, []any{&t.pid, &t.xid, &age, &idle}, func() error {
		view.idle = max(view.idle, seconds(idle))
		if t.xid == "" {
			return nil
		}
		since, known := w.seen[t]
		if !known {
			since = now
		}
		seen[t] = since
		if age < 0 { // hidden from this role
			age = now.Sub(since).Seconds()
		}
		view.write = max(view.write, seconds(age))
		return nil
	})
	if err != nil {
		return view, fmt.Errorf("read the sessions of the database: %w", err)
	}
	w.seen = seen
	return view, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
