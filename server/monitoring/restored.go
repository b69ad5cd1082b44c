package monitoring

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/ledger"
)

const (
	checkRestoredEvery   = 30 * time.Second
	checkRestoredTimeout = 15 * time.Second
)

// RestoredCheck detects that the database behind a running server was replaced by a restored
// backup. The server is then not ready until `kizod repair` has been run.
type RestoredCheck struct {
	pool   *pgxpool.Pool
	log    *slog.Logger
	reason atomic.Pointer[string] // why the server is not ready; nil while it is
}

// NewRestoredCheck makes a RestoredCheck. It queries nothing yet.
func NewRestoredCheck(pool *pgxpool.Pool, log *slog.Logger) *RestoredCheck {
	return &RestoredCheck{pool: pool, log: log}
}

// Watch checks the database every 30 seconds until ctx ends. It returns nil.
func (c *RestoredCheck) Watch(ctx context.Context) error {
	tick := time.NewTicker(checkRestoredEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.runOnce(ctx)
		}
	}
}

func (c *RestoredCheck) runOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkRestoredTimeout)
	defer cancel()
	before := c.reason.Load()
	switch err := ledger.CheckRestored(ctx, c.pool); {
	case errors.Is(err, ledger.ErrRestored):
		text := err.Error()
		c.reason.Store(&text)
		if before == nil {
			c.log.Error("not ready: the database was replaced by a restored one", "error", err)
		}
	case err == nil:
		c.reason.Store(nil)
		if before != nil {
			c.log.Info("the restored database is repaired")
		}
	}
	// Any other error means that the database does not answer; Database and /readyz report that.
}
