package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// fingerprint is the SHA-256 of what a caller asked for, so that a key that is
// used again for something else is noticed.
type fingerprint [sha256.Size]byte

// encoder writes fields so that no two different sequences of fields give the
// same bytes: integers are 8 bytes big-endian, text carries its length.
type encoder struct{ buf []byte }

func (e *encoder) text(s string) {
	e.int(int64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) int(n int64) {
	e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(n)) // the bits, not the number
}

func (e *encoder) uuid(id uuid.UUID) { e.buf = append(e.buf, id[:]...) }

// time has microseconds, as the database does; the zero time is 0.
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.int(0)
		return
	}
	e.int(t.UnixMicro())
}

func (e *encoder) sum() [sha256.Size]byte { return sha256.Sum256(e.buf) }

// encodeTransfer is the one canonical encoding of a transfer in the state it is
// in, version 1. Events keep its SHA-256; never change it, add a version.
func encodeTransfer(t *Transfer) []byte {
	e := encoder{buf: make([]byte, 0, 320)}
	e.text("kizo.transfer.v1")
	e.uuid(t.ID)
	e.text(string(t.Kind))
	e.text(string(t.State))
	e.int(t.DebitAccount)
	e.int(t.CreditAccount)
	e.int(t.Amount.Minor)
	e.text(string(t.Amount.Currency))
	e.int(t.PostedAmount)
	e.uuid(t.Owner)
	e.text(t.Key)
	e.text(t.Memo)
	e.text(t.Reason)
	e.uuid(t.Target)
	e.time(t.ExpiresAt)
	e.time(t.CreatedAt)
	e.time(t.ResolvedAt)
	return e.buf
}

func digest(t *Transfer) [sha256.Size]byte { return sha256.Sum256(encodeTransfer(t)) }

// print is the fingerprint of a command: what was asked, not what came of it.
func (c *command) print() fingerprint {
	e := encoder{buf: make([]byte, 0, 256)}
	e.text("kizo.command.v1")
	e.int(int64(c.op))
	e.uuid(c.owner)
	e.uuid(c.payee)
	e.uuid(c.target)
	e.int(c.amount.Minor)
	e.text(string(c.amount.Currency))
	e.text(c.memo)
	e.time(c.expiresAt)
	return e.sum()
}
