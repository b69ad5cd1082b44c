package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/bank/internal/wire"
)

// Status is the outcome of a payment. There are two.
type Status string

// The outcomes of a payment.
const (
	StatusExecuted Status = "executed"
	StatusRejected Status = "rejected"
)

// Entry is one line of the journal and of the statement.
type Entry struct {
	Seq int64 `json:"seq"` // 1, 2, 3 … without gaps
	bank.Instruction
	Status  Status    `json:"status"`
	Reason  string    `json:"reason,omitempty"`   // of a rejection
	At      time.Time `json:"at"`                 // UTC
	BankRef string    `json:"bank_ref"`           // unique
	TraceID string    `json:"trace_id,omitempty"` // of the request that created the entry
}

// answer is the body of POST and GET /v1/payments.
type answer struct {
	Ref      string    `json:"ref"`
	BankRef  string    `json:"bank_ref"`
	Status   Status    `json:"status"`
	Reason   string    `json:"reason"`
	Amount   int64     `json:"amount"`
	Currency string    `json:"currency"`
	At       time.Time `json:"at"`
}

// answer returns the answer about an entry, which differs from the entry unless l is noLie.
func (l lie) answer(e *Entry) answer {
	a := answer{e.Ref, e.BankRef, e.Status, e.Reason, e.Amount, e.Currency, e.At}
	switch l {
	case wrongAmount:
		a.Amount++
	case oppositeStatus:
		if a.Status == StatusExecuted {
			a.Status, a.Reason = StatusRejected, "declined"
		} else {
			a.Status, a.Reason = StatusExecuted, ""
		}
	}
	return a
}

// line returns the entry as a line of the journal.
func (e *Entry) line() ([]byte, error) {
	data, err := json.Marshal(e)
	return append(data, '\n'), err
}

// parseEntry reads a journal line without its newline.
func parseEntry(line []byte) (*Entry, error) {
	f, err := wire.Parse(line)
	if err != nil {
		return nil, err
	}
	f.Only("seq", "ref", "direction", "amount", "currency", "status", "reason", "at", "bank_ref", "trace_id")
	e := &Entry{Seq: f.Int("seq"), Instruction: readInstruction(f)}
	e.Status, e.Reason = Status(f.Text("status")), f.OptionalText("reason")
	e.At, e.BankRef, e.TraceID = f.Time("at"), f.Text("bank_ref"), f.OptionalText("trace_id")
	if err := f.Err(); err != nil {
		return nil, err
	}
	if e.Status != StatusExecuted && e.Status != StatusRejected {
		return nil, errors.New("status is neither executed nor rejected")
	}
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return e, nil
}

func readInstruction(f *wire.Fields) bank.Instruction {
	return bank.Instruction{
		Ref:       f.Text("ref"),
		Direction: bank.Direction(f.Text("direction")),
		Amount:    f.Int("amount"),
		Currency:  f.Text("currency"),
	}
}

// parseInstruction reads the body of POST /v1/payments.
func parseInstruction(body []byte) (bank.Instruction, error) {
	f, err := wire.Parse(body)
	if err != nil {
		return bank.Instruction{}, err
	}
	f.Only("ref", "direction", "amount", "currency")
	in := readInstruction(f)
	if err := f.Err(); err != nil {
		return bank.Instruction{}, err
	}
	return in, in.Validate()
}

// bankRef returns the bank's name of a payment.
func bankRef(seed uint64, seq int64, ref string) string {
	return fmt.Sprintf("bk-%d-%08x", seq, uint32(seededRandom{seed: seed, ref: ref}.hash("bank ref")))
}
