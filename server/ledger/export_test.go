package ledger

import (
	"bytes"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// What the tests outside may see of the inside.

// LastEvents are all transfers with the digest of their last event, for
// CheckDigests.
const LastEvents = `SELECT ` + transferColumns + `, e.digest FROM transfers t
	JOIN (SELECT DISTINCT ON (transfer_id) transfer_id, digest FROM events ORDER BY transfer_id, id DESC) e ON e.transfer_id = t.id`

// CheckDigests recomputes the digests of LastEvents from the tables.
func CheckDigests(rows pgx.Rows) error {
	for rows.Next() {
		var have []byte
		t, err := scanTransfer(rows, &have)
		if err != nil {
			return err
		}
		if want := digest(t); !bytes.Equal(have, want[:]) {
			return fmt.Errorf("the event of %s has another digest than the transfer", t.ID)
		}
	}
	return rows.Err()
}

// ListSQL is what List asks for.
func ListSQL(q Query) (string, []any) {
	return listSQL(q, span{uuid.Max, uuid.Max, uuid.Max, 1000, 20}, []int64{1})
}

// AddAtMost has a summary add up so many postings of a wallet's month at once.
func AddAtMost(l *Ledger, postings int64) { l.months.most = postings }

// PanicAt makes the decision of a command with the memo panic. It must be called before the
// first command.
func PanicAt(l *Ledger, memo string) {
	decide := l.rules.decide
	l.rules.decide = func(b *book, c *command) outcome {
		if c.memo == memo {
			panic("defect")
		}
		return decide(b, c)
	}
}

// Waiting is how many commands stand in line.
func Waiting(l *Ledger) int { return l.intake.len() }

// Pause is pause.
var Pause = pause

// LockAccounts is how a batch locks.
const LockAccounts = lockAccounts

// PositionOf is a position by its numbers.
func PositionOf(xid uint64, id int64) Position { return Position{xid, id} }

// Digest of a transfer in the state that it is in.
func Digest(t *Transfer) [32]byte { return digest(t) }

// Pages that the feed has read so far, and whether it is reading.
func Pages(l *Ledger) (read int, running bool) {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	return l.feed.pages, l.feed.running
}
