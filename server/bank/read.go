package bank

import (
	"errors"
	"fmt"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/server/bank/internal/wire"
)

func readInstruction(f *wire.Fields) Instruction {
	return Instruction{
		Ref:       f.Text("ref"),
		Direction: Direction(f.Text("direction")),
		Amount:    f.Int("amount"),
		Currency:  f.Text("currency"),
	}
}

// readAnswer takes the bank's claim from an object, or says why it cannot be read.
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
	// A bank that executed can name the payment; one that rejected need not.
	if !visible(a.BankRef) && (a.Outcome == Executed || a.BankRef != "") {
		return Answer{}, errors.New("bank_ref is missing or not visible ASCII")
	}
	return a, nil
}

// contradicts says how a well-formed answer differs from what was asked, or nil.
func contradicts(in Instruction, ref string, a Answer) error {
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

// readPage reads a statement page and checks that it moves forward only, so
// that a loop over pages ends.
func readPage(f *wire.Fields, after int64, limit int) (Page, error) {
	list, next := f.List("entries"), f.Int("next")
	if err := f.Err(); err != nil {
		return Page{}, err
	}
	if len(list) > limit {
		return Page{}, errors.New("more entries than asked for")
	}
	page := Page{Entries: make([]Entry, 0, len(list)), Next: after}
	for _, raw := range list {
		entry, err := readEntry(raw)
		if err != nil {
			return Page{}, err
		}
		if entry.Seq <= page.Next {
			return Page{}, errors.New("entries are not in ascending order")
		}
		page.Entries, page.Next = append(page.Entries, entry), entry.Seq
	}
	if next != page.Next {
		return Page{}, errors.New("next is not the last entry")
	}
	return page, nil
}

func readEntry(raw []byte) (Entry, error) {
	f, err := wire.Parse(raw)
	if err != nil {
		return Entry{}, err
	}
	in, seq := readInstruction(f), f.Int("seq")
	a, err := readAnswer(f)
	if err != nil {
		return Entry{}, err
	}
	if err := in.Validate(); err != nil {
		return Entry{}, err
	}
	return Entry{Seq: seq, Instruction: in, BankRef: a.BankRef, Outcome: a.Outcome, At: a.At}, nil
}
