package main

import (
	"strings"

	"github.com/JDevAman/kizo/client"
)

// The columns of a transfer. Those of a list are the first ones of a single transfer, so that cut
// -f finds the same fields in both.
var (
	transferColumns = []column{
		{title: "ID", id: true}, {title: "WHEN", drop: 2}, {title: "KIND", drop: 5}, {title: "STATE", state: true}, {title: "DIRECTION", state: true, drop: 6},
		{title: "AMOUNT", right: true}, {title: "WITH", cut: true, drop: 3}, {title: "MEMO", cut: true, drop: 4, free: true},
		{title: "AUTHORIZED", right: true, drop: 1, sparse: true}, {title: "NAME", sparse: true, drop: 7, free: true}, // on a terminal, WITH includes the name
	}
	transferDetails = append(transferColumns[:len(transferColumns):len(transferColumns)],
		column{title: "REASON", free: true}, column{title: "RESOLVED"}, column{title: "EXPIRES"},
		column{title: "REVERSED"}, column{title: "REVERSES"}, column{title: "TAGS", free: true})
)

func (a *app) transferRow(t client.Transfer) []string {
	return []string{
		t.Id.String(), a.when(t.CreatedAt), string(t.Kind), string(t.State), string(t.Direction),
		amountOf(t.Amount, t.Currency), a.counterparty(t), text(t.Memo), partOf(t, t.AuthorizedAmount),
		a.nameInPipe(otherParty(t)),
	}
}

// nameInPipe is the name of a party, which has a field of its own in a pipe.
func (a *app) nameInPipe(p client.Party) string {
	if a.human() {
		return ""
	}
	return text(p.Name)
}

// otherParty returns the party that the money went to or came from.
func otherParty(t client.Transfer) client.Party {
	if t.Direction == client.In {
		return t.From
	}
	return t.To
}

// partOf formats an amount that not every transfer has.
func partOf(t client.Transfer, minor *int64) string {
	if minor == nil {
		return ""
	}
	return amountOf(*minor, t.Currency)
}

func (a *app) transferDetail(t client.Transfer) []string {
	reverses := ""
	if t.Reverses != nil {
		reverses = t.Reverses.String()
	}
	return append(a.transferRow(t), text(t.Reason), a.whenever(t.ResolvedAt), a.whenever(t.ExpiresAt),
		partOf(t, t.ReversedAmount), reverses, tagsText(t.Tags))
}

func (a *app) printTransfer(flags outputFlags, t client.Transfer) error {
	return a.printOne(flags, t, transferDetails, a.transferDetail(t))
}

// printReceipt prints the result of a command that moves money.
func (a *app) printReceipt(flags outputFlags) func(client.Receipt) (client.Transfer, error) {
	return func(r client.Receipt) (client.Transfer, error) { return r.Transfer, a.printTransfer(flags, r.Transfer) }
}

// counterparty is the other side, seen from the user. On a terminal it includes the direction,
// whose column is the first to be dropped. In a pipe it is a valid value for --with and kizo
// transfer.
func (a *app) counterparty(t client.Transfer) string {
	if !a.human() {
		return partyHandle(otherParty(t))
	}
	if t.Direction == client.In {
		return "from " + partyName(t.From)
	}
	return "to " + a.payeeName(t.To)
}

// payeeName is partyName with the alias that the user typed: @bob (rent) (Bob).
func (a *app) payeeName(p client.Party) string {
	handle := partyHandle(p)
	return a.withAlias(handle) + strings.TrimPrefix(partyName(p), handle)
}

// partyHandle is a party without the name, which has a field of its own.
func partyHandle(p client.Party) string {
	p.Name = nil
	return partyName(p)
}

// partyName begins with the handle, which is unique; a name is whatever its owner chooses. The mark
// of staff follows the handle, so that no name can imitate it.
func partyName(p client.Party) string {
	if p.Bank != nil && *p.Bank {
		return "bank"
	}
	if p.Handle == nil {
		return text(p.Name)
	}
	shown := "@" + *p.Handle
	if p.Staff != nil && *p.Staff {
		shown += " [staff]"
	}
	if name := text(p.Name); name != "" {
		shown += " (" + name + ")"
	}
	return shown
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
