package books

import (
	"io"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

// Period selects entries. The zero value selects all.
type Period struct {
	Since    time.Time      // inclusive; zero for the first entry
	Until    time.Time      // exclusive; zero for no end
	Currency money.Currency // of the wallet; empty for all wallets
}

// Export writes the entries of a period. What a wallet had before the period is an opening entry.
type Export struct {
	Period
	to     sink
	book   Book
	states map[money.Currency]*exportState
}

// exportState says which entries of a wallet are written. The times of a wallet's changes of
// balance never go back, so that the period begins and ends once for each wallet.
type exportState struct {
	begun, ended bool
}

// sink writes the entries of an export.
type sink interface {
	begin(w Wallet) error // before the first entry of a wallet
	add(e *Entry) error
	end(wallets []Wallet) error // of which begin was called, after their last entries
	discard()                   // removes temporary files
}

// NewExport returns an export as text of a format.
func NewExport(out io.Writer, format Format, p Period) (*Export, error) {
	if _, err := io.WriteString(out, format.Header+format.Accounts); err != nil {
		return nil, err
	}
	return newExport(&textSink{out, format}, p), nil
}

func newExport(to sink, p Period) *Export {
	return &Export{Period: p, to: to, states: map[money.Currency]*exportState{}}
}

// Add writes the entry of an event, if it has one in the period. It fails like Book.Add, and with
// the errors of the writer.
func (x *Export) Add(e client.Event) error {
	currency := money.Currency(e.Transfer.Currency)
	if x.Currency != "" && currency != x.Currency {
		return nil
	}
	if state := x.states[currency]; state != nil && state.ended {
		return nil
	}
	if change, hold := effect(e.Transfer); !x.Until.IsZero() && !e.At.Before(x.Until) && (change != 0 || hold != 0) {
		x.state(currency).ended = true
		return nil
	}
	entry, moved, err := x.book.Add(e)
	if err != nil || !moved {
		return err
	}
	state := x.state(currency)
	if !state.begun {
		if entry.At.Before(x.Since) {
			return nil
		}
		if err := x.begin(entry.Before, entry.Wallet); err != nil {
			return err
		}
		if !entry.First() {
			entry.Before.Day = dayOf(x.Since)
		}
	}
	return x.to.add(&entry)
}

func (x *Export) state(c money.Currency) *exportState {
	if x.states[c] == nil {
		x.states[c] = &exportState{}
	}
	return x.states[c]
}

// begin begins a wallet, with an opening entry if it has had entries before the period.
func (x *Export) begin(before, w Wallet) error {
	x.state(w.Currency).begun = true
	if err := x.to.begin(w); err != nil {
		return err
	}
	if before.Balance == 0 && before.Held == 0 {
		return nil
	}
	opening := Opening(before, x.Since)
	return x.to.add(&opening)
}

// Close writes the end of the export and returns the wallets after the last entry before the end of
// the period.
func (x *Export) Close() ([]Wallet, error) {
	wallets := x.book.Wallets()
	for i, w := range wallets {
		if !x.state(w.Currency).begun { // all its entries are before the period
			if err := x.begin(w, w); err != nil {
				return nil, err
			}
			wallets[i].Day = dayOf(x.Since)
		}
	}
	return wallets, x.to.end(wallets)
}

// Discard removes temporary files of the export. It may be called at any time, and twice.
func (x *Export) Discard() { x.to.discard() }

// textSink writes one entry after the other.
type textSink struct {
	out    io.Writer
	format Format
}

func (s *textSink) begin(w Wallet) error { return s.write(s.format.Wallet(w.Currency)) }
func (s *textSink) add(e *Entry) error   { return s.write(s.format.Entry(e)) }

func (s *textSink) end(wallets []Wallet) error {
	for i := range wallets {
		if err := s.write(s.format.Closing(&wallets[i])); err != nil {
			return err
		}
	}
	return nil
}

func (s *textSink) discard() {}

func (s *textSink) write(text string) error {
	_, err := io.WriteString(s.out, text)
	return err
}
