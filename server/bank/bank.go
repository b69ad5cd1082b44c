package bank

import (
	"context"
	"errors"
	"time"
)

// Limits of the protocol, which the bank and Kizo both check.
const (
	MaxAmount      = 1_000_000_000_000_000 // minor units, 10^15
	MaxRefLength   = 64                    // bytes
	MaxReasonRunes = 200                   // characters
	MaxPageSize    = 200                   // statement lines; a full page fits into MaxBody
	MaxBody        = 64 << 10              // bytes of a response or a callback
)

// Direction is the direction in which the money of a payment moves.
type Direction string

// The directions of a payment.
const (
	Deposit    Direction = "deposit"    // bank → Kizo
	Withdrawal Direction = "withdrawal" // Kizo → bank
)

// Instruction asks the bank for one payment. A Ref is always used with the same Direction, Amount
// and Currency.
type Instruction struct {
	Ref       string    `json:"ref"` // 1..64 of A-Z a-z 0-9 _ -
	Direction Direction `json:"direction"`
	Amount    int64     `json:"amount"`   // minor units, 1..MaxAmount
	Currency  string    `json:"currency"` // ISO 4217, three capital letters
}

// Validate returns an error if the form of the instruction is not valid.
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

// ValidRef reports whether ref is 1 to 64 bytes of A-Z a-z 0-9 _ -.
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

// Outcome is what is known about a payment. The zero value is Unknown, so an Answer without an
// outcome cannot void a hold.
type Outcome uint8

// The outcomes of a payment.
const (
	Unknown  Outcome = iota // the bank may or may not have executed the payment
	Executed                // the bank moved the money, once
	Rejected                // the bank did not move the money and never will under this reference
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

// MarshalText returns the text of String, for JSON and logs.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Answer is what the bank says about one instruction. Amount, Currency and At are set if Outcome is
// Executed or Rejected; BankRef is set if it is Executed.
type Answer struct {
	Outcome  Outcome
	NotSeen  bool   // of Status only: the bank does not know the reference yet; this is not a rejection
	BankRef  string // the bank's name of the payment; at most 64 bytes of visible ASCII
	Amount   int64  // minor units
	Currency string
	Reason   string    // the reason that the bank gave, cleaned by text.CleanProse
	At       time.Time // by the bank's clock, UTC
}

// StatementLine is one line of the bank's statement. Rejected payments have a line too.
type StatementLine struct {
	Seq int64 // ascending, in the order of the bank
	Instruction
	BankRef string
	Outcome Outcome // Executed or Rejected
	At      time.Time
}

// StatementPage is a part of the statement. A page with fewer lines than the limit is the last
// one. Next is the value of after for the following page.
type StatementPage struct {
	Lines []StatementLine
	Next  int64
}

// Bank is a bank that executes payments. Every error is an [*Error]; the Outcome of an Answer
// returned with an error is Unknown.
type Bank interface {
	// Submit asks for a payment. It may be repeated: the bank executes a reference at most once.
	Submit(ctx context.Context, in Instruction) (Answer, error)
	// Status asks for the outcome of an instruction. It takes the whole instruction and not only
	// the reference, so that it can reject an answer about another amount.
	Status(ctx context.Context, in Instruction) (Answer, error)
	// Statement lists the lines with Seq > after in the order of the bank, at most limit
	// (1 to MaxPageSize). The first page has after 0.
	Statement(ctx context.Context, after int64, limit int) (StatementPage, error)
}

// visibleASCII reports whether s is 1 to 64 bytes of visible ASCII.
func visibleASCII(s string) bool {
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
