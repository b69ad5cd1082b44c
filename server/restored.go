package server

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/ledger"
)

const restoredEvery = 30 * time.Second // between two looks of restoredCheck

// restoredCheck sees that the database behind a running server was replaced by a restored
// one. The server is then not ready until `kizod repair` has been run.
type restoredCheck struct {
	pool    *pgxpool.Pool
	log     *slog.Logger
	refusal atomic.Pointer[string] // why it is not ready; nil while it is
}

// watch looks every restoredEvery until ctx ends.
func (c *restoredCheck) watch(ctx context.Context) error {
	tick := time.NewTicker(restoredEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.look(ctx)
		}
	}
}

func (c *restoredCheck) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	before := c.refusal.Load()
	switch err := ledger.CheckRestored(ctx, c.pool); {
	case errors.Is(err, ledger.ErrRestored):
		text := err.Error()
		c.refusal.Store(&text)
		if before == nil {
			c.log.Error("not ready: the database was replaced by a restored one", "error", err)
		}
	case err == nil:
		c.refusal.Store(nil)
		if before != nil {
			c.log.Info("the restored database is repaired")
		}
	}
	// Any other error: the database does not answer, which others report.
}
