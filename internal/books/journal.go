package books

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

// hledger and ledger read the same entries, and declarations that differ a little.
var (
	hledger = Format{
		Name: "hledger", Extension: "journal",
		Header: journalHeader, Accounts: declareAccounts(sharedAccounts, ""), Include: include,
		Wallet: func(c money.Currency) string {
			sample := money.Amount{Minor: sampleMinor(c), Currency: c}.Decimal()
			if c.Exponent() == 0 {
				sample += "." // hledger needs a decimal mark, also without decimals
			}
			return "commodity " + sample + " " + string(c) + "\n" + declareAccounts(walletAccounts, c)
		},
		Entry:   func(e *Entry) string { return journalEntry(e) },
		Closing: none[*Wallet],
	}
	ledger = Format{
		Name: "ledger", Extension: "ledger",
		Header: journalHeader, Accounts: declareAccounts(sharedAccounts, "") + ledgerTags, Include: include,
		Wallet: func(c money.Currency) string {
			return "commodity " + string(c) + "\n    format " + money.Format(sampleMinor(c), c) + "\n" +
				declareAccounts(walletAccounts, c)
		},
		// The payee of ledger's reports is without the memo.
		Entry:   func(e *Entry) string { return journalEntry(e, tag{"Payee", e.counterparty()}) },
		Closing: none[*Wallet],
	}
)

const (
	journalHeader = "; Written by kizo.\n"
	ledgerTags    = "tag transfer\ntag event_id\ntag at\ntag kind\ntag tags\ntag Payee\n"
)

func include(pattern string) string { return "include " + pattern + "\n" }

// sampleMinor is 1000 units of a currency. Both programs learn its decimals from a sample.
func sampleMinor(c money.Currency) int64 {
	minor := int64(1000)
	for range c.Exponent() {
		minor *= 10
	}
	return minor
}

var journalAccounts = map[account]string{
	available: "assets:kizo:%s", held: "assets:kizo:%s:held", bank: "assets:bank",
	income: "income:kizo", expenses: "expenses:kizo", equity: "equity:opening-balances",
}

// nameIn returns the name of an account in a currency.
func (a account) nameIn(names map[account]string, c money.Currency) string {
	return strings.ReplaceAll(names[a], "%s", string(c))
}

func declareAccounts(accounts []account, c money.Currency) string {
	var text strings.Builder
	for _, a := range accounts {
		text.WriteString("account " + a.nameIn(journalAccounts, c) + "\n")
	}
	return text.String()
}

func journalEntry(e *Entry, more ...tag) string {
	var text strings.Builder
	code, title := "", journalText(e.counterparty())
	if e.EventID != "" {
		code = "(" + e.Transfer.Id.String() + ") "
	}
	if memo := e.memo(); memo != "" {
		title += " | " + journalText(memo)
	}
	fmt.Fprintf(&text, "\n%s * %s%s\n", e.Wallet.Day, code, title)
	for _, tag := range append(e.tags(), more...) {
		fmt.Fprintf(&text, "    ; %s: %s\n", tag.name, journalTag(tag.value))
	}
	currency := e.Wallet.Currency
	for _, p := range e.postings() {
		fmt.Fprintf(&text, "    %-26s  %s", p.account.nameIn(journalAccounts, currency), money.Format(p.minor, currency))
		if p.after != nil {
			text.WriteString(" = " + money.Format(*p.after, currency))
		}
		text.WriteString("\n")
	}
	return text.String()
}

// tag is a fact about an entry that the format keeps as metadata.
type tag struct{ name, value string }

func (e *Entry) tags() []tag {
	t := &e.Transfer
	if e.EventID == "" {
		return nil
	}
	kind := string(t.Kind)
	if e.Change == 0 {
		kind += " " + map[bool]string{true: "held", false: "released"}[e.Hold > 0]
	}
	tags := []tag{
		{"transfer", t.Id.String()}, {"event_id", e.EventID}, {"at", utc(e.At)}, {"kind", kind},
	}
	if given := e.userTags(); given != "" {
		tags = append(tags, tag{"tags", given})
	}
	return tags
}

// userTags are the tags that the user gave the transfer: project=apollo team=moon.
func (e *Entry) userTags() string {
	if e.Transfer.Tags == nil {
		return ""
	}
	var words []string
	for _, key := range slices.Sorted(maps.Keys(*e.Transfer.Tags)) {
		words = append(words, key+"="+(*e.Transfer.Tags)[key])
	}
	return strings.Join(words, " ")
}

// journalText writes untrusted text so that it stays inside the first line of an entry. A semicolon
// begins a comment, and a bar separates payee and memo.
func journalText(s string) string {
	return journalEscapes.Replace(printable.Text(s))
}

// journalTag writes untrusted text as the value of a tag. A comma ends it for hledger, a bracket
// begins a date for ledger.
func journalTag(s string) string { return tagEscapes.Replace(journalText(s)) }

var tagEscapes = strings.NewReplacer(",", `\u{2c}`, "[", `\u{5b}`)

var journalEscapes = strings.NewReplacer(";", `\u{3b}`, "|", `\u{7c}`)

func (e *Entry) isBankTransfer() bool {
	return e.Transfer.Kind == client.TransferKindDeposit || e.Transfer.Kind == client.TransferKindWithdrawal
}

func (e *Entry) isReversal() bool { return e.Transfer.Kind == client.TransferKindReversal }
