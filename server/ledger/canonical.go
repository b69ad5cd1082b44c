package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// fingerprint is the SHA-256 of a command's body. It shows that a key is used again for another
// command.
type fingerprint [sha256.Size]byte

// encoder encodes fields so that different sequences of fields give different bytes: integers are
// 8 bytes big-endian, and text is preceded by its length.
type encoder struct{ buf []byte }

func (e *encoder) text(s string) {
	e.int(int64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) int(n int64) {
	e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(n)) // the two's complement
}

func (e *encoder) uuid(id [16]byte) { e.buf = append(e.buf, id[:]...) }

// time has the precision of the database, microseconds. The zero time is 0.
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.int(0)
		return
	}
	e.int(t.UnixMicro())
}

func (e *encoder) sum() [sha256.Size]byte { return sha256.Sum256(e.buf) }

// encodeTransfer returns the canonical encoding of a transfer in its current state: version 1, or
// version 2 if it has tags. Events store its SHA-256, so it must never change; add a version
// instead.
func encodeTransfer(t *Transfer) []byte {
	e := encoder{buf: make([]byte, 0, 320)}
	if t.Tags == "" {
		e.text("kizo.transfer.v1")
	} else {
		e.text("kizo.transfer.v2")
		e.text(string(t.Tags))
	}
	e.uuid(t.ID)
	e.text(string(t.Kind))
	e.text(string(t.State))
	e.int(int64(t.DebitAccount))
	e.int(int64(t.CreditAccount))
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

// computeFingerprint hashes what the command asks for, and nothing of its outcome.
func (c *command) computeFingerprint() fingerprint {
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
	if c.tags != "" { // before there were tags, keys were stored without them
		e.text(string(c.tags))
	}
	return e.sum()
}
