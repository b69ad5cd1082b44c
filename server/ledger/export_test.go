package ledger

import (
	"bytes"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// This file exports internals to the tests of package ledger_test.

// LastEvents selects all transfers with the digest of their last event, for CheckDigests.
const LastEvents = `SELECT ` + transferColumns + `, e.digest FROM transfers t
	JOIN (SELECT DISTINCT ON (transfer_id) transfer_id, digest FROM all_events ORDER BY transfer_id, id DESC) e ON e.transfer_id = t.id`

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

// ListSQL returns the statement of List.
func ListSQL(q Query) (string, []any) {
	return listSQL(q, pageRange{UserID(uuid.Max), uuid.Max, uuid.Max, 1000, 20}, []AccountID{1})
}

// PanicAt makes the decision of a command with the memo panic. It must be called before the
// first command.
func PanicAt(l *Ledger, memo string) {
	decide := l.rules.decide
	l.rules.decide = func(b *batch, c *command) outcome {
		if c.memo == memo {
			panic("defect")
		}
		return decide(b, c)
	}
}

// PauseAt makes the decision of a command with the memo send to reached, and wait until resume is
// closed. It must be called before the first command.
func PauseAt(l *Ledger, memo string, reached chan<- struct{}, resume <-chan struct{}) {
	decide := l.rules.decide
	l.rules.decide = func(b *batch, c *command) outcome {
		if c.memo == memo {
			reached <- struct{}{}
			<-resume
		}
		return decide(b, c)
	}
}

// SetUnlockedTimeout sets how long a batch that has not locked its accounts waits for a lock. It
// must be called before the first command.
func SetUnlockedTimeout(l *Ledger, d time.Duration) {
	l.rules.tuneUnlocked = fmt.Sprintf(tuneUnlocked, d.Milliseconds())
}

// TrustClock makes a ledger use a reading of the database's clock for an hour, so that a busy
// machine does not make it read accounts again. It must be called before the first command.
func TrustClock(l *Ledger) { l.rules.remembered.maxClockAge = time.Hour }

// NeverSkip makes a ledger use what it remembers at once after a rejection. It must be called
// before the first command.
func NeverSkip(l *Ledger) { l.rules.remembered.minPenalty, l.rules.remembered.maxPenalty = 0, 0 }

// LockFirst makes a ledger lock the accounts of every batch before it decides it. It must be called
// before the first command.
func LockFirst(l *Ledger) { l.rules.remembered.maxClockAge = -1 }

// FirstTransferID returns the least id of a transfer at a time.
var FirstTransferID = firstTransferID

// Pause waits before a retry.
var Pause = pause

// LockAccounts is the statement with which a batch locks accounts.
const LockAccounts = lockAccounts

// PositionOf returns the position with these numbers.
func PositionOf(xid uint64, id int64) Position { return Position{xid, id} }

// Digest returns the digest of a transfer in its current state.
func Digest(t *Transfer) [32]byte { return digest(t) }

// Pages returns how many pages the feed has read so far, and whether it is running.
func Pages(l *Ledger) (read int, running bool) {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	return l.feed.pages, l.feed.running
}

// SetAuditOverlap sets how long before the signed audit the ids of the transfers begin that an
// incremental audit checks.
func SetAuditOverlap(a *Auditor, d time.Duration) { a.overlap = d }
