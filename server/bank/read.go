package bank

import (
	"errors"
	"fmt"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/server/bank/internal/wire"
)

// readInstruction reads the fields of an instruction.
func readInstruction(f *wire.Fields) Instruction {
	return Instruction{
		Ref:       f.Text("ref"),
		Direction: Direction(f.Text("direction")),
		Amount:    f.Int("amount"),
		Currency:  f.Text("currency"),
	}
}

// readAnswer reads an answer, or returns why it cannot be read.
func readAnswer(f *wire.Fields) (Answer, error) {
	a := Answer{
		BankRef:  f.OptionalText("bank_ref"),
		Amount:   f.Int("amount"),
		Currency: f.Text("currency"),
		Reason:   text.CleanProse(f.OptionalText("reason"), MaxReasonRunes),
		At:       f.Time("at"),
	}
	status := f.Text("status")
	if err := f.Err(); err != nil {
		return Answer{}, err
	}
	switch status {
	case "executed":
		a.Outcome = Executed
	case "rejected":
		a.Outcome = Rejected
	default:
		return Answer{}, errors.New("status is neither executed nor rejected")
	}
	// A bank always has a name for a payment that it executed, but not for one that it rejected.
	if !visibleASCII(a.BankRef) && (a.Outcome == Executed || a.BankRef != "") {
		return Answer{}, errors.New("bank_ref is missing or not visible ASCII")
	}
	return a, nil
}

// contradiction returns how a well-formed answer differs from the instruction, or nil.
func contradiction(in Instruction, ref string, a Answer) error {
	switch {
	case ref != in.Ref:
		return errors.New("the answer is about another ref")
	case a.Amount != in.Amount:
		return fmt.Errorf("asked for %d minor units, the bank says %d", in.Amount, a.Amount)
	case a.Currency != in.Currency:
		return fmt.Errorf("asked in %s, the bank says %s", in.Currency, a.Currency)
	}
	return nil
}

// readPage reads a page of the statement and checks that its lines are in ascending order, so
// that a loop over pages ends.
func readPage(f *wire.Fields, after int64, limit int) (StatementPage, error) {
	list, next := f.List("entries"), f.Int("next")
	if err := f.Err(); err != nil {
		return StatementPage{}, err
	}
	if len(list) > limit {
		return StatementPage{}, errors.New("more entries than the limit")
	}
	page := StatementPage{Lines: make([]StatementLine, 0, len(list)), Next: after}
	for _, raw := range list {
		line, err := readLine(raw)
		if err != nil {
			return StatementPage{}, err
		}
		if line.Seq <= page.Next {
			return StatementPage{}, errors.New("entries are not in ascending order")
		}
		page.Lines, page.Next = append(page.Lines, line), line.Seq
	}
	if next != page.Next {
		return StatementPage{}, errors.New("next is not the last entry")
	}
	return page, nil
}

// readLine reads one line of the statement.
func readLine(raw []byte) (StatementLine, error) {
	f, err := wire.Parse(raw)
	if err != nil {
		return StatementLine{}, err
	}
	in, seq := readInstruction(f), f.Int("seq")
	a, err := readAnswer(f)
	if err != nil {
		return StatementLine{}, err
	}
	if err := in.Validate(); err != nil {
		return StatementLine{}, err
	}
	return StatementLine{Seq: seq, Instruction: in, BankRef: a.BankRef, Outcome: a.Outcome, At: a.At}, nil
}
