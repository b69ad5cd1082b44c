package pgerr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func reported(code string) error { return fmt.Errorf("pay: %w", &pgconn.PgError{Code: code}) }

func TestClassify(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err         error
		class       Class
		unavailable bool
	}{
		"serialization failure": {reported("40001"), Conflict, true},
		"deadlock":              {reported("40P01"), Conflict, true},
		"completion unknown":    {reported("40003"), Lost, true},
		"lock timeout":          {reported("55P03"), Locked, true},
		"object in use":         {reported("55006"), Conflict, true},
		"read-only":             {reported("25006"), Lost, true},
		"too many connections":  {reported("53300"), Lost, true},
		"shutdown":              {reported("57P01"), Lost, true},
		"statement canceled":    {reported("57014"), Lost, true},
		"I/O":                   {reported("58030"), Lost, true},
		"corrupted":             {reported("XX001"), Lost, true},
		"unique":                {reported("23505"), Rejected, false},
		"check":                 {reported("23514"), Rejected, false},
		"syntax":                {reported("42601"), Rejected, false},
		"not supported":         {reported("0A000"), Rejected, false},
		"stale plan":            {&pgconn.PgError{Code: "0A000", Routine: "RevalidateCachedQuery"}, Conflict, true},
		"connection refused":    {&net.OpError{Op: "dial", Err: errors.New("refused")}, Lost, true},
		"connection cut":        {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), Lost, true},
		"closed":                {net.ErrClosed, Lost, true},
		"deadline":              {context.DeadlineExceeded, Lost, true}, // it is a net.Error
		"canceled":              {context.Canceled, Lost, false},
		"no rows":               {pgx.ErrNoRows, Lost, false},
	} {
		if got := Classify(tc.err); got != tc.class {
			t.Errorf("%s: class %d, want %d", name, got, tc.class)
		}
		if got := IsUnavailable(tc.err); got != tc.unavailable {
			t.Errorf("%s: unavailable is %v", name, got)
		}
	}
}

// A server that cannot accept connections reports an SQLSTATE, but not about the statement.
func TestFailureToConnectIsLost(t *testing.T) {
	t.Parallel()
	_, err := pgconn.Connect(t.Context(), "host="+t.TempDir()+" user=u database=d sslmode=disable")
	if err == nil || Classify(err) != Lost || !IsUnavailable(err) {
		t.Errorf("got %v", err)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for code, is := range map[string]func(error) bool{
		"55P03": IsLocked, "25006": IsReadOnly, "57P03": IsShutdown, "42P01": IsUndefinedTable, "42501": IsForbidden,
	} {
		if !is(reported(code)) || is(reported("23505")) || is(io.EOF) || is(nil) {
			t.Errorf("%s is not recognized, or something else is", code)
		}
	}
	if got := ViolatedUnique(&pgconn.PgError{Code: "23505", ConstraintName: "users_handle"}); got != "users_handle" {
		t.Errorf("got %q", got)
	}
	if got := ViolatedUnique(&pgconn.PgError{Code: "23514", ConstraintName: "users_handle"}); got != "" {
		t.Errorf("got %q of a check", got)
	}
}
