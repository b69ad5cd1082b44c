package books

import (
	"fmt"
	"strings"
	"time"

	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

var beancount = Format{
	Name: "beancount", Extension: "beancount",
	Header:   journalHeader,
	Accounts: openAccounts(sharedAccounts, ""),
	Include:  func(pattern string) string { return `include "` + pattern + "\"\n" },
	Wallet:   func(c money.Currency) string { return openAccounts(walletAccounts, c) },
	Entry:    beancountEntry,
	Closing:  func(w *Wallet) string { return "\n" + beancountBalance(nextDay(w.Day), w) },
}

var beancountAccounts = map[account]string{
	available: "Assets:Kizo:%s", held: "Assets:Kizo:%s:Held", bank: "Assets:Bank",
	income: "Income:Kizo", expenses: "Expenses:Kizo", equity: "Equity:Opening-Balances",
}

// openAccounts opens accounts long before the first entry. Those of a wallet have one currency.
func openAccounts(accounts []account, c money.Currency) string {
	var text strings.Builder
	for _, a := range accounts {
		text.WriteString(strings.TrimRight("1970-01-01 open "+a.nameIn(beancountAccounts, c)+" "+string(c), " ") + "\n")
	}
	return text.String()
}

func beancountEntry(e *Entry) string {
	var text strings.Builder
	text.WriteString("\n")
	if !e.First() && e.Wallet.Day != e.Before.Day {
		text.WriteString(beancountBalance(e.Wallet.Day, &e.Before) + "\n")
	}
	fmt.Fprintf(&text, "%s * %s %s\n", e.Wallet.Day, beancountString(e.counterparty()), beancountString(e.memo()))
	for _, tag := range e.tags() {
		fmt.Fprintf(&text, "  %s: %s\n", tag.name, beancountString(tag.value))
	}
	currency := e.Wallet.Currency
	for _, p := range e.postings() {
		fmt.Fprintf(&text, "  %-24s  %s\n", p.account.nameIn(beancountAccounts, currency), money.Format(p.minor, currency))
	}
	return text.String()
}

// beancountBalance states the balance of a wallet at the beginning of a day, including what is held
// in its subaccount. Without ~ 0, beancount accepts a difference of one minor unit.
func beancountBalance(day string, w *Wallet) string {
	balance := money.Amount{Minor: w.Balance, Currency: w.Currency}
	return fmt.Sprintf("%s balance %s  %s ~ 0 %s\n", day, available.nameIn(beancountAccounts, w.Currency), balance.Decimal(), w.Currency)
}

// nextDay returns the date after a date.
func nextDay(day string) string {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day // a Book writes only dates
	}
	return dayOf(at.AddDate(0, 0, 1))
}

// beancountString quotes untrusted text.
func beancountString(s string) string {
	return `"` + beancountEscapes.Replace(printable.Text(s)) + `"`
}

var beancountEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
