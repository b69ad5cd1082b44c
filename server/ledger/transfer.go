package ledger

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/money"
)

// Kind is the kind of a transfer.
type Kind string

// The kinds of a transfer. Captures and voids are rows of their own, because their keys must be
// unique as well; they move no money themselves and are in no list.
const (
	KindTransfer      Kind = "transfer"
	KindAuthorization Kind = "authorization"
	KindDeposit       Kind = "deposit"
	KindWithdrawal    Kind = "withdrawal"
	KindReversal      Kind = "reversal"
	kindCapture       Kind = "capture"
	kindVoid          Kind = "void"
)

// State is the state of a transfer. Only a pending transfer changes its state.
type State string

// The states of a transfer.
const (
	Pending State = "pending"
	Posted  State = "posted"
	Voided  State = "voided"
	Refused State = "refused"
)

// Reasons for which a pending transfer is voided.
const (
	ReasonVoided       = "voided_by_payee"
	ReasonExpired      = "expired"
	ReasonBankRejected = "bank_rejected"
)

// Transfer is a row of transfers: what one command has done, and the current state of it.
type Transfer struct {
	ID             uuid.UUID
	Kind           Kind
	State          State
	DebitAccount   AccountID // the account that money leaves
	CreditAccount  AccountID // the account that receives it; 0 if the payee had no wallet
	Amount         money.Amount
	PostedAmount   int64 // minor units that moved; less than Amount after a partial capture
	ReversedAmount int64 // minor units that reversals have sent back
	Owner          UserID
	Key            string
	Memo           string
	Tags           Tags
	Reason         string    // a Code if refused, a Reason constant if voided
	Target         uuid.UUID // the transfer that a reversal, capture or void is about
	ExpiresAt      time.Time
	CreatedAt      time.Time
	ResolvedAt     time.Time // zero while pending
	fingerprint    fingerprint
}

// newTransferID returns an id whose first 64 bits are those of firstTransferID(at), and the others
// random.
func newTransferID(at time.Time) uuid.UUID {
	id := firstTransferID(at)
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()>>2|1<<63) //nolint:gosec // unique, not secret
	return id
}

// firstTransferID returns the least id of a transfer at a time, in microseconds: a version 7 UUID
// (RFC 9562, section 5.7) with the milliseconds since 1970, and the microseconds in rand_a.
func firstTransferID(at time.Time) (id uuid.UUID) {
	micros := uint64(max(at.UnixMicro(), 0))
	binary.BigEndian.PutUint64(id[:], micros/1000<<16|0x7000|micros%1000)
	return id
}

// holds reports whether the transfer reserves money of its debit account. A deposit does not: its
// money has not left the bank yet.
func (t *Transfer) holds() bool {
	return t.State == Pending && t.Kind != KindDeposit
}

const transferColumns = `t.id, t.kind, t.state, t.debit_account, COALESCE(t.credit_account, 0),
	t.amount, t.currency, t.posted_amount, t.reversed_amount, t.owner, t.idem_key, t.fingerprint,
	t.memo, t.reason, t.target, t.expires_at, t.created_at, t.resolved_at, COALESCE(t.tags, '')`

// scanTransfer reads one row of transferColumns, followed by any more columns.
func scanTransfer(row interface{ Scan(...any) error }, more ...any) (*Transfer, error) {
	var r transferRow
	if err := row.Scan(r.into(more...)...); err != nil {
		return nil, err
	}
	return r.transfer(), nil
}

// transferRow scans transferColumns. It may be reused for the next row.
type transferRow struct {
	t                 Transfer
	fingerprint       []byte
	target            *[16]byte // pgx would decode a uuid.UUID by way of its text
	expires, resolved *time.Time
}

func (r *transferRow) into(more ...any) []any {
	return append([]any{
		(*[16]byte)(&r.t.ID), &r.t.Kind, &r.t.State, (*int64)(&r.t.DebitAccount), (*int64)(&r.t.CreditAccount),
		&r.t.Amount.Minor, &r.t.Amount.Currency, &r.t.PostedAmount, &r.t.ReversedAmount,
		(*[16]byte)(&r.t.Owner), &r.t.Key, &r.fingerprint,
		&r.t.Memo, &r.t.Reason, &r.target, &r.expires, &r.t.CreatedAt, &r.resolved, (*string)(&r.t.Tags),
	}, more...)
}

// transfer returns the scanned transfer. It is valid until the next row is scanned.
func (r *transferRow) transfer() *Transfer {
	copy(r.t.fingerprint[:], r.fingerprint)
	r.t.Target, r.t.ExpiresAt, r.t.ResolvedAt = uuid.Nil, time.Time{}, time.Time{}
	if r.target != nil {
		r.t.Target = *r.target
	}
	if r.expires != nil {
		r.t.ExpiresAt = *r.expires
	}
	if r.resolved != nil {
		r.t.ResolvedAt = *r.resolved
	}
	return &r.t
}
