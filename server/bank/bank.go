package bank

import (
	"context"
	"errors"
	"time"
)

// Limits that hold on both sides of the border.
const (
	MaxAmount      = 1_000_000_000_000_000 // minor units, 10^15
	MaxRefLength   = 64                    // bytes
	MaxReasonRunes = 200
	MaxPageSize    = 200 // statement entries; a full page fits MaxBody
	MaxBody        = 64 << 10
)

// Direction says which way money crosses the border.
type Direction string

const (
	Deposit    Direction = "deposit"    // bank → Kizo
	Withdrawal Direction = "withdrawal" // Kizo → bank
)

// Instruction is one payment that the bank is asked to make. The same Ref
// always goes with the same Direction, Amount and Currency.
type Instruction struct {
	Ref       string    `json:"ref"` // 1..64 of A-Z a-z 0-9 _ -
	Direction Direction `json:"direction"`
	Amount    int64     `json:"amount"`   // minor units, 1..MaxAmount
	Currency  string    `json:"currency"` // ISO 4217, three capital letters
}

// Validate says whether a bank could accept the instruction's form.
func (in Instruction) Validate() error {
	switch {
	case !ValidRef(in.Ref):
		return errors.New("ref must be 1 to 64 of A-Z a-z 0-9 _ -")
	case in.Direction != Deposit && in.Direction != Withdrawal:
		return errors.New("direction must be deposit or withdrawal")
	case in.Amount < 1 || in.Amount > MaxAmount:
		return errors.New("amount must be 1 to 10^15 minor units")
	case !validCurrency(in.Currency):
		return errors.New("currency must be three capital letters")
	}
	return nil
}

// ValidRef says whether ref is 1 to 64 bytes of A-Z a-z 0-9 _ -.
func ValidRef(ref string) bool {
	if len(ref) < 1 || len(ref) > MaxRefLength {
		return false
	}
	for i := range len(ref) {
		c := ref[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

func validCurrency(code string) bool {
	if len(code) != 3 {
		return false
	}
	for i := range 3 {
		if code[i] < 'A' || code[i] > 'Z' {
			return false
		}
	}
	return true
}

// Outcome is what is known of a payment. Its zero value is Unknown, so that an
// Answer nobody filled in can never void a hold.
type Outcome uint8

const (
	Unknown  Outcome = iota // may or may not have happened
	Executed                // money moved, once
	Rejected                // money did not move and never will under this ref
)

// String returns "unknown", "executed" or "rejected".
func (o Outcome) String() string {
	switch o {
	case Executed:
		return "executed"
	case Rejected:
		return "rejected"
	}
	return "unknown"
}

// MarshalText makes an Outcome a word in JSON and in logs.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Answer is what the bank is known to have done with one instruction. Amount,
// Currency, BankRef and At are set when Outcome is Executed or Rejected.
type Answer struct {
	Outcome  Outcome
	NotSeen  bool   // Status only: the bank has not heard of the ref (yet). Not a rejection
	BankRef  string // the bank's own name of the payment; at most 64 visible ASCII bytes
	Amount   int64  // minor units
	Currency string
	Reason   string    // what the bank gave as its reason, cleaned by text.CleanProse
	At       time.Time // the bank's clock, UTC
}

// Entry is one line of the bank's statement; rejected payments are listed too.
type Entry struct {
	Seq int64 // ascending; the bank's order
	Instruction
	BankRef string
	Outcome Outcome // Executed or Rejected
	At      time.Time
}

// Page is a part of the statement. A page with fewer entries than asked for is
// the newest; Next is the cursor for what comes after it.
type Page struct {
	Entries []Entry
	Next    int64
}

// Bank is the other side of the border. Every error is an *Error, and with an
// error the Answer's Outcome is Unknown.
type Bank interface {
	// Submit asks for a payment. It may be repeated: a ref is executed at most once.
	Submit(ctx context.Context, in Instruction) (Answer, error)
	// Status asks what became of an instruction. It takes the whole instruction,
	// not its ref alone, so that an answer about another amount cannot be believed.
	Status(ctx context.Context, in Instruction) (Answer, error)
	// Statement lists entries with Seq > after in the bank's order, at most
	// limit (1..MaxPageSize). The first page is after 0.
	Statement(ctx context.Context, after int64, limit int) (Page, error)
}

// visible reports whether s is 1 to 64 bytes of visible ASCII.
func visible(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
