// Package pgerr classifies the errors of PostgreSQL:
//
//	                                         ┌─► Lost      the answer is missing: ask again
//	error ─► Classify: by SQLSTATE, never ───┼─► Conflict  another transaction interfered: retry
//	         by text                         ├─► Locked    another session holds a lock: wait
//	                                         └─► Rejected  the same statement fails again
//
// The Is functions recognize single conditions. Each finds the error anywhere in a chain, and
// returns false for nil. SQLSTATE codes are listed in appendix A of the PostgreSQL manual.
//
// All packages of the server share it, so that none but those with SQL of their own imports pgx.
package pgerr

import (
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Class says what can be done about an error.
type Class int

// The classes.
const (
	Lost     Class = iota // no answer, or the server is unavailable; a COMMIT may have succeeded
	Conflict              // rolled back because of another transaction; retry at once
	Locked                // rolled back after lock_timeout; another session holds the lock
	Rejected              // PostgreSQL refused the statement; a retry changes nothing
)

// Classify returns the class of an error of a statement or a transaction.
func Classify(err error) Class {
	if _, connecting := errors.AsType[*pgconn.ConnectError](err); connecting {
		return Lost // its SQLSTATE, if any, is not about the statement
	}
	code := State(err)
	switch {
	case code == "": // not an error that PostgreSQL reported
		return Lost
	case code == "40003": // statement_completion_unknown: distributed databases lost a COMMIT
		return Lost
	case IsStalePlan(err):
		return Conflict
	case IsLocked(err):
		return Locked
	}
	switch code[:2] {
	case "40", "55": // serialization failure, deadlock; object not in prerequisite state
		return Conflict
	case "08", "25", "53", "57", "58", "XX": // connection, idle timeout, resources, shutdown, I/O
		return Lost
	default:
		return Rejected
	}
}

// IsUnavailable reports whether the database cannot be used at the moment, so that a later retry
// is worthwhile. Unlike [Classify], it returns false for errors that are not about the database.
func IsUnavailable(err error) bool {
	if State(err) != "" {
		return Classify(err) != Rejected
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err)
}

// State returns the SQLSTATE that PostgreSQL reported, five characters, or "" if it reported none.
func State(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// IsLocked reports that a lock was not granted within lock_timeout (lock_not_available).
func IsLocked(err error) bool { return State(err) == "55P03" }

// IsReadOnly reports a write in a session that may only read (read_only_sql_transaction).
func IsReadOnly(err error) bool { return State(err) == "25006" }

// IsShutdown reports that the server shuts down, has crashed or cannot accept connections yet.
func IsShutdown(err error) bool { return strings.HasPrefix(State(err), "57P") }

// IsUndefinedTable reports that a table does not exist (undefined_table).
func IsUndefinedTable(err error) bool { return State(err) == "42P01" }

// IsForbidden reports that the role lacks a privilege (insufficient_privilege).
func IsForbidden(err error) bool { return State(err) == "42501" }

// IsStalePlan reports that a prepared statement returns other types than when it was prepared,
// because a migration ran in between.
func IsStalePlan(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "0A000" && e.Routine == "RevalidateCachedQuery"
}

// ViolatedUnique returns the name of the unique constraint or index that a statement violated,
// or "" if it violated none.
func ViolatedUnique(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "23505" { // unique_violation
		return e.ConstraintName
	}
	return ""
}
