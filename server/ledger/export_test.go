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

// Plants are bugs, each of which some test must notice. To be planted before the
// first command.
var Plants = map[string]func(*Ledger){
	"hold ignored":              around(plantHoldIgnored),
	"key checked after funds":   around(plantFundsBeforeKey),
	"postings missing":          around(plantPostingsMissing),
	"fingerprint not compared":  around(plantNoFingerprint),
	"refusal not sticky":        around(plantForgottenRefusal),
	"fence not compared":        around(plantNoFence),
	"part capture keeps a hold": around(plantHoldKept),
	"lock order dropped": func(l *Ledger) {
		// Every other connection locks the other way round. (Without an ORDER BY
		// the index gives the rows in order of id by itself.)
		l.rules.lock = `SELECT id, COALESCE(owner, '00000000-0000-0000-0000-000000000000'), currency, kind,
				balance, held, seq, floor, status, as_of
			FROM accounts WHERE id = ANY($1)
			ORDER BY CASE WHEN pg_backend_pid() % 2 = 0 THEN id ELSE -id END FOR NO KEY UPDATE`
	},
}

// PlantPanic makes the rule book panic at one memo.
func PlantPanic(l *Ledger, memo string) {
	around(func(b *book, c *command, decide func(*book, *command) outcome) outcome {
		if c.memo == memo {
			panic("planted")
		}
		return decide(b, c)
	})(l)
}

type decider = func(*book, *command) outcome

func around(plant func(*book, *command, decider) outcome) func(*Ledger) {
	return func(l *Ledger) {
		decide := l.rules.decide
		l.rules.decide = func(b *book, c *command) outcome { return plant(b, c, decide) }
	}
}

func plantHoldIgnored(b *book, c *command, decide decider) outcome {
	debit := b.accounts[c.debit]
	if c.op != opTransfer || debit == nil {
		return decide(b, c)
	}
	held := debit.held
	debit.held = 0
	o := decide(b, c)
	debit.held = held
	return o
}

func plantFundsBeforeKey(b *book, c *command, decide decider) outcome {
	if (c.op == opTransfer || c.op == opAuthorize || c.op == opWithdraw) && b.accounts[c.credit] != nil {
		if code := b.objection(b.accounts[c.debit], b.accounts[c.credit], c.amount.Minor); code == InsufficientFunds {
			if earlier, ok := b.byKey[ownerKey{c.owner, c.key}]; ok && earlier.State != Refused {
				return outcome{err: fail(code, "planted")}
			}
		}
	}
	return decide(b, c)
}

// Both lines, since the database would not have one without the other.
func plantPostingsMissing(b *book, c *command, decide decider) outcome {
	lines := len(b.posted)
	o := decide(b, c)
	if c.op == opTransfer {
		b.posted = b.posted[:lines]
	}
	return o
}

func plantNoFingerprint(b *book, c *command, decide decider) outcome {
	careless := *c
	if earlier, ok := b.byKey[ownerKey{c.owner, c.key}]; ok && c.key != "" {
		careless.asked = earlier.fingerprint
	}
	return decide(b, &careless)
}

func plantForgottenRefusal(b *book, c *command, decide decider) outcome {
	added, events := len(b.added), len(b.events)
	o := decide(b, c)
	if o.err != nil && len(b.added) > added {
		b.added, b.events = b.added[:added], b.events[:events]
		delete(b.byKey, ownerKey{c.owner, c.key})
	}
	return o
}

func plantNoFence(b *book, c *command, decide decider) outcome {
	careless := *c
	if p := b.payments[c.target]; c.op == opSettle && p != nil {
		careless.settle.Fence = p.fence
	}
	return decide(b, &careless)
}

func plantHoldKept(b *book, c *command, decide decider) outcome {
	o := decide(b, c)
	if t := b.byID[c.target]; c.op == opPost && o.err == nil && !o.result.Replayed {
		b.accounts[t.DebitAccount].held += t.Amount.Minor - t.PostedAmount
	}
	return o
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
