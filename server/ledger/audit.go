package ledger

import (
	"context"
	"io"

	"github.com/jackc/pgx/v5/pgxpool"
)

type Check struct{}
type Report struct{ Checks []Check }

func (r Report) OK() bool                     { return true }
func (r Report) WriteTable(w io.Writer) error { return nil }
func Audit(ctx context.Context, pool *pgxpool.Pool) (Report, error) { return Report{}, nil }
