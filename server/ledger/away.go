package ledger

import (
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// DatabaseAway tells whether an error means that the database is not there just
// now, so that asking again later makes sense.
func DatabaseAway(err error) bool {
	if _, told := errors.AsType[*pgconn.PgError](err); told {
		return verdict(err) != rejected
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}
