package books

import (
	"slices"
	"time"

	"github.com/JDevAman/kizo/money"
)

// Format writes entries as text. Each piece of text ends with a line break. A file has Header and
// Accounts, then Wallet before the first entry of a wallet, Entry for each entry, and at the end
// Closing for each wallet. Accounts and Wallet may be in a file of their own, with Header.
type Format struct {
	Name      string // the value of --format
	Extension string // of a file's name, without the dot

	Header   string
	Accounts string                        // declares the accounts that all wallets share
	Include  func(pattern string) string   // includes other files; nil in a format without accounts
	Wallet   func(c money.Currency) string // declares the accounts of a wallet
	Entry    func(e *Entry) string
	Closing  func(w *Wallet) string // states the balance of a wallet after its last entry
}

// Formats returns the formats that can be written entry by entry. OFX is not one of them.
func Formats() []Format {
	return []Format{hledger, ledger, beancount, csvFormat, jsonl}
}

// FormatNamed returns the format with a name.
func FormatNamed(name string) (Format, bool) {
	i := slices.IndexFunc(Formats(), func(f Format) bool { return f.Name == name })
	if i < 0 {
		return Format{}, false
	}
	return Formats()[i], true
}

// none is for formats without a kind of text.
func none[T any](T) string { return "" }

// utc formats a time with microseconds, the precision of the ledger.
func utc(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// posting is one line of an entry.
type posting struct {
	account account
	minor   int64
	after   *int64 // amount of the account after it, if the format states that
}

// account is the role of an account, which each format spells in its own way.
type account int

const (
	available account = iota
	held
	bank
	income
	expenses
	equity
)

var (
	walletAccounts = []account{available, held}
	sharedAccounts = []account{bank, income, expenses, equity}
)

// postings returns the lines of an entry. Their sum is zero.
func (e *Entry) postings() []posting {
	free := e.Wallet.Available()
	lines := []posting{
		{available, e.Change - e.Hold, &free},
		{held, e.Hold, &e.Wallet.Held},
		{e.otherAccount(), -e.Change, nil},
	}
	return slices.DeleteFunc(lines, func(p posting) bool { return p.minor == 0 })
}

// otherAccount is where the money of an entry comes from or goes to. A reversal gives back what an
// earlier transfer brought or cost.
func (e *Entry) otherAccount() account {
	in := e.Change > 0
	switch {
	case e.EventID == "":
		return equity
	case e.isBankTransfer():
		return bank
	case in != e.isReversal():
		return income
	}
	return expenses
}
