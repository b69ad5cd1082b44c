// Package ids gives each kind of UUID a type of its own, so that the compiler rejects the id of a
// user in the place of the id of a transfer:
//
//	uuid.UUID ── ids.UserID(id) ──► UserID ──► ledger, auth, settle, api
//	    ▲                              │
//	    └────── uuid.UUID(id) ─────────┴─ UUIDValue, ScanUUID ──► PostgreSQL
//
// # Overview
//
// The API converts the ids of a request and of a response, where the OpenAPI contract has a plain
// UUID. pgx sends and receives an [ID] in the binary format, without its text.
//
// The package imports no other package of Kizo.
package ids

import (
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// UserID is the id of a user. The ledger knows the owner of a wallet only by it.
type UserID = ID[user]

type user struct{}

// ID is the UUID of a thing of kind K. The zero value is the nil UUID, which no thing has.
type ID[K any] uuid.UUID

// IsZero reports whether id is the nil UUID.
func (id ID[K]) IsZero() bool { return id == ID[K]{} }

// String returns the text form of RFC 9562.
func (id ID[K]) String() string { return uuid.UUID(id).String() }

// MarshalText returns the text form, for logs and JSON.
func (id ID[K]) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }

// UUIDValue makes pgx send id as a UUID. The zero value is sent as the nil UUID, not as NULL.
func (id ID[K]) UUIDValue() (pgtype.UUID, error) { return pgtype.UUID{Bytes: id, Valid: true}, nil }

// ScanUUID makes pgx store a UUID in id. It fails for NULL: scan a column that may be NULL into a
// pointer.
func (id *ID[K]) ScanUUID(v pgtype.UUID) error {
	if !v.Valid {
		return errors.New("cannot scan NULL into an id")
	}
	*id = v.Bytes
	return nil
}
