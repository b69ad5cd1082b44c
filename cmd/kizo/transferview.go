package main

import (
	"github.com/JDevAman/kizo/client"
)

// The columns of a transfer. Those of a list are the beginning of those of one, so that cut -f finds the
// same in both.
var (
	transferColumns = []column{
		{title: "ID"}, {title: "WHEN"}, {title: "KIND"}, {title: "STATE"}, {title: "DIRECTION"},
		{title: "AMOUNT", right: true}, {title: "WITH", cut: true}, {title: "MEMO", cut: true},
	}
	transferDetails = append(transferColumns[:len(transferColumns):len(transferColumns)],
		column{title: "REASON"}, column{title: "RESOLVED"}, column{title: "EXPIRES"},
		column{title: "POSTED"}, column{title: "REVERSED"}, column{title: "REVERSES"})
)

func (a *app) transferRow(t client.Transfer) []string {
	return []string{
		t.Id.String(), a.when(t.CreatedAt), string(t.Kind), string(t.State), string(t.Direction),
		amountOf(t.Amount, t.Currency), counterparty(t), text(t.Memo),
	}
}

func (a *app) transferDetail(t client.Transfer) []string {
	part := func(minor *int64) string {
		if minor == nil {
			return ""
		}
		return amountOf(*minor, t.Currency)
	}
	reverses := ""
	if t.Reverses != nil {
		reverses = t.Reverses.String()
	}
	return append(a.transferRow(t), text(t.Reason), a.whenever(t.ResolvedAt), a.whenever(t.ExpiresAt),
		part(t.PostedAmount), part(t.ReversedAmount), reverses)
}

func (a *app) printTransfer(flag jsonFlag, t client.Transfer) error {
	return a.printOne(flag, t, transferDetails, a.transferDetail(t))
}

// counterparty is the other side, seen from the user.
func counterparty(t client.Transfer) string {
	if t.Direction == client.In {
		return partyName(t.From)
	}
	return partyName(t.To)
}

// partyName leads with the handle, which is unique; a name is whatever its owner calls himself.
func partyName(p client.Party) string {
	switch {
	case p.Bank != nil && *p.Bank:
		return "bank"
	case p.Handle == nil:
		return text(p.Name)
	case p.Name == nil || *p.Name == "":
		return "@" + *p.Handle
	}
	return "@" + *p.Handle + " (" + *p.Name + ")"
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
