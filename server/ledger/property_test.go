package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
)

// deadlockWatch counts the deadlocks that the ledger logs and retries, by their SQLSTATE.
type deadlockWatch struct {
	slog.Handler
	seen atomic.Int64
}

func (w *deadlockWatch) Enabled(context.Context, slog.Level) bool { return true }

func (w *deadlockWatch) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		err, _ := a.Value.Any().(error)
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "40P01" {
			w.seen.Add(1)
		}
		return true
	})
	return nil
}

// propertyDatabase is a database with two ledgers, as in two kizod processes, on which many scripts
// can be run one after the other.
type propertyDatabase struct {
	stage
	watch deadlockWatch
}

func newPropertyDatabase(t *testing.T) *propertyDatabase {
	t.Helper()
	db := pgtest.New(t)
	th := &propertyDatabase{watch: deadlockWatch{Handler: slog.DiscardHandler}}
	for range 2 {
		pool, err := pgxpool.New(t.Context(), db.AppURL)
		if err != nil {
			t.Fatal(err)
		}
		l := ledger.Open(ledger.Config{Pool: pool, Logger: slog.New(&th.watch)})
		ledger.TrustClock(l)
		ledger.NeverSkip(l)
		t.Cleanup(func() {
			if err := l.Close(context.Background()); err != nil {
				t.Error(err)
			}
			pool.Close()
		})
		th.ledgers = append(th.ledgers, l)
	}
	th.owner, th.app = testkit.Connect(t, db.AdminURL), testkit.Connect(t, db.AppURL)
	return th
}

// run runs a script and checks it against the model and the invariants.
func (th *propertyDatabase) run(ctx context.Context, sc script) error {
	deadlocks := th.watch.seen.Load()
	p, err := play(ctx, th.stage, sc)
	if err != nil {
		return err
	}
	if midnight := p.base.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1); time.Now().Before(midnight) {
		err = checkHistory(ctx, p) // the limits of the model know no second day
	}
	// Authorizations that have lapsed must not expire in the next script.
	_, drained := th.ledgers[0].ExpireDue(ctx, 1000)
	err = errors.Join(err, drained, checkBooks(ctx, th.app))
	for _, user := range p.users {
		err = errors.Join(err, checkMonths(ctx, th.ledgers[0], th.app, user, 2))
	}
	if n := th.watch.seen.Load() - deadlocks; n > 0 {
		err = errors.Join(err, fmt.Errorf("%d deadlocks", n))
	}
	return err
}

// remembered counts the batches of all ledgers that were decided on remembered accounts.
func (th *propertyDatabase) remembered() (stats ledger.RememberedStats) {
	for _, l := range th.ledgers {
		stats.Committed += l.Remembered().Committed
		stats.Rejected += l.Remembered().Rejected
	}
	return stats
}

// The property test runs scripts for maxDuration, and minScripts of them however slow the machine
// is. Scripts that rapid generates later are skipped.
const (
	maxDuration = 10 * time.Second
	minScripts  = 5
)

func TestLedgerDoesWhatTheModelDoes(t *testing.T) {
	t.Parallel()
	th := newPropertyDatabase(t)
	var played, calls int
	var failed bool // rapid is shrinking a failure, for which every script must run
	started := time.Now()
	rapid.Check(t, func(rt *rapid.T) {
		sc := scripts.Draw(rt, "script")
		// Both ways of deciding a batch have to be compared with the model.
		remembered := th.remembered()
		covered := remembered.Committed > 0 && remembered.Rejected > 0
		if time.Since(started) > maxDuration && played >= minScripts && covered && !failed {
			return
		}
		played++
		for _, ph := range sc {
			for _, lane := range ph.lanes {
				calls += len(lane)
			}
		}
		if err := th.run(t.Context(), sc); err != nil {
			failed = true
			rt.Fatal(err)
		}
	})
	t.Logf("%d scripts, %d steps, %v", played, calls, time.Since(started))
	remembered := th.remembered()
	t.Logf("decided on remembered accounts: %+v", remembered)
	if remembered.Committed == 0 || remembered.Rejected == 0 {
		t.Errorf("batches that were decided on remembered accounts: %+v", remembered)
	}
}
