package books

import (
	"fmt"
	"slices"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

// Wallet is the state of one wallet after some events. Amounts are minor units.
type Wallet struct {
	Currency money.Currency `json:"currency"`
	Balance  int64          `json:"balance"`
	Held     int64          `json:"held"`
	Posted   time.Time      `json:"posted,omitzero"` // time of the last change of the balance
	Day      string         `json:"day"`             // date of the last entry: 2026-11-28
}

// Available returns what is not held, in minor units.
func (w *Wallet) Available() int64 { return w.Balance - w.Held }

// Book follows the wallets of one user. The zero value is a user without transfers.
type Book struct {
	wallets []*Wallet // in the order of their first entries
}

// NewBook returns a book that continues after the events that led to these wallets.
func NewBook(wallets []Wallet) *Book {
	b := &Book{}
	for _, w := range wallets {
		b.wallets = append(b.wallets, &w)
	}
	return b
}

// Wallets returns the state of all wallets that have had an entry, in the order of their first
// entries.
func (b *Book) Wallets() []Wallet {
	list := make([]Wallet, len(b.wallets))
	for i, w := range b.wallets {
		list[i] = *w
	}
	return list
}

// Entry is a change of a wallet's balance, of what is held in it, or of both. Amounts are minor
// units.
type Entry struct {
	EventID  string // empty for an opening entry
	At       time.Time
	Transfer client.Transfer // in the state that the event reports; zero for an opening entry
	Change   int64           // of the balance
	Hold     int64           // change of what is held
	Wallet   Wallet          // after the entry
	Before   Wallet          // without a currency if the wallet had no entry
}

// First reports whether the wallet had no entry before.
func (e *Entry) First() bool { return e.Before.Currency == "" }

// Opening returns an entry that stands for all entries of a wallet before a time.
func Opening(w Wallet, at time.Time) Entry {
	w.Day = dayOf(at)
	return Entry{At: at, Change: w.Balance, Hold: w.Held, Wallet: w}
}

// Add returns the entry of an event. moved is false if the event changed no balance and no hold. It
// fails if this version of Kizo does not know the currency, and if the event does not continue
// those that were added before.
func (b *Book) Add(e client.Event) (entry Entry, moved bool, err error) {
	t := e.Transfer
	change, hold := effect(t)
	if change == 0 && hold == 0 {
		return Entry{}, false, nil
	}
	currency := money.Currency(t.Currency)
	if !currency.Known() {
		return Entry{}, false, fmt.Errorf("transfer %s: this version of kizo does not know the currency %q, and so not its decimals",
			t.Id, printable.Text(t.Currency))
	}
	i := slices.IndexFunc(b.wallets, func(w *Wallet) bool { return w.Currency == currency })
	var before Wallet
	if i >= 0 {
		before = *b.wallets[i]
	}
	after, err := before.apply(currency, change, hold, e.At)
	if err != nil {
		return Entry{}, false, fmt.Errorf("transfer %s does not continue the events before it: %w", t.Id, err)
	}
	if i < 0 {
		b.wallets = append(b.wallets, &after)
	} else {
		*b.wallets[i] = after
	}
	return Entry{
		EventID: e.ID, At: e.At, Transfer: *t, Change: change, Hold: hold, Wallet: after, Before: before,
	}, true, nil
}

// apply returns the wallet after a change.
func (w Wallet) apply(currency money.Currency, change, hold int64, at time.Time) (Wallet, error) {
	balance, err := money.Amount{Minor: w.Balance, Currency: currency}.Add(money.Amount{Minor: change, Currency: currency})
	if err != nil {
		return w, err
	}
	held, err := money.Amount{Minor: w.Held, Currency: currency}.Add(money.Amount{Minor: hold, Currency: currency})
	if err != nil {
		return w, err
	}
	if balance.Minor < held.Minor || held.Minor < 0 {
		return w, fmt.Errorf("the wallet would have %s, of which %s are held", balance, held)
	}
	w.Currency, w.Balance, w.Held = currency, balance.Minor, held.Minor
	if change != 0 {
		w.Posted = at
	}
	// The time of a hold may be microseconds before that of the posting before it. Dates never go
	// back, because the programs that read a journal sort it by date before they compare balances.
	w.Day = max(w.Day, dayOf(at))
	return w, nil
}

// effect returns what the event of a transfer changes in the user's wallet, in minor units.
func effect(t *client.Transfer) (change, hold int64) {
	out := t.Direction == client.Out
	held := int64(0) // what the transfer holds while it is pending
	switch {
	case !out:
	case t.Kind == client.TransferKindAuthorization && t.AuthorizedAmount != nil:
		held = *t.AuthorizedAmount
	case t.Kind == client.TransferKindWithdrawal:
		held = t.Amount
	}
	switch t.State {
	case client.Pending:
		return 0, held
	case client.Voided:
		return 0, -held
	case client.Posted:
		if out {
			return -t.Amount, -held
		}
		return t.Amount, 0
	}
	return 0, 0
}

func dayOf(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// counterparty is the other side of an entry: @bob, bank or opening balances. It has no name, since
// a user may change that.
func (e *Entry) counterparty() string {
	if e.EventID == "" {
		return "opening balances"
	}
	other := e.Transfer.To
	if e.Transfer.Direction == client.In {
		other = e.Transfer.From
	}
	switch {
	case other.Bank != nil && *other.Bank:
		return "bank"
	case other.Handle != nil && *other.Handle != "":
		return "@" + *other.Handle
	}
	return "unknown"
}

func (e *Entry) memo() string {
	if e.Transfer.Memo == nil {
		return ""
	}
	return *e.Transfer.Memo
}
