package tui

import (
	"context"
	"errors"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/tui/draw"
)

// moneyKeys returns the bindings that capture, void and reverse the selected transfer. One that
// this user cannot use on it says why.
func (s *transfersScreen) moneyKeys(m *shared) []binding {
	t := s.current()
	actions := []struct {
		key, help, command string
		off                func(client.Transfer) string
		action             func(*shared, client.Transfer) action
	}{
		{"C", "capture, wholly or in part", "kizo transfers capture", m.captureOff, (*shared).captureAction},
		{"V", "void", "kizo transfers void", m.voidOff, (*shared).voidAction},
		{"R", "reverse, wholly or in part", "kizo transfers reverse", m.reverseOff, (*shared).reverseAction},
	}
	var keys []binding
	for _, a := range actions {
		b := binding{keys: []string{a.key}, shown: a.key, help: a.help, command: s.commandFor(a.command), off: "no transfer is selected"}
		if t != nil {
			chosen := *t
			b.off = a.off(chosen)
			b.run = func(m *shared) tea.Cmd { s.paused = true; m.act(a.action(m, chosen)); return nil }
		}
		keys = append(keys, b.greyed())
	}
	return keys
}

// moneyKeysByState separates the bindings that work now, which come first in the footer.
func (s *transfersScreen) moneyKeysByState(m *shared) (allowed, greyed []binding) {
	for _, b := range s.moneyKeys(m) {
		if b.off == "" {
			allowed = append(allowed, b)
		} else {
			greyed = append(greyed, b)
		}
	}
	return allowed, greyed
}

// greyed makes a binding that is off show its reason.
func (b binding) greyed() binding {
	if b.off != "" {
		reason := errors.New(titleCase(b.off) + ".")
		b.run = func(m *shared) tea.Cmd { m.showError(reason); return nil }
	}
	return b
}

func (m *shared) captureOff(t client.Transfer) string { return m.holdOff(t, "captured", "capture") }
func (m *shared) voidOff(t client.Transfer) string    { return m.holdOff(t, "voided", "void") }

// holdOff returns why this user cannot capture or void a transfer; empty if the user can.
func (m *shared) holdOff(t client.Transfer, past, verb string) string {
	switch {
	case m.readonly != "":
		return m.errReadonly().Error()
	case t.Kind != client.TransferKindAuthorization:
		return "only an authorization can be " + past
	case t.State != client.Pending:
		return "this authorization is " + string(t.State) + " already"
	case t.Direction != client.In:
		return "only the receiver, " + partyName(t.To) + ", can " + verb + " it"
	case t.ExpiresAt != nil && !m.now.Before(*t.ExpiresAt):
		return "this authorization has expired"
	}
	return ""
}

// reverseOff returns why this user cannot reverse a transfer; empty if the user can.
func (m *shared) reverseOff(t client.Transfer) string {
	switch {
	case m.readonly != "":
		return m.errReadonly().Error()
	case t.Kind != client.TransferKindTransfer && t.Kind != client.TransferKindAuthorization:
		return "a " + string(t.Kind) + " cannot be reversed"
	case t.State != client.Posted:
		return "only a posted transfer can be reversed, this one is " + string(t.State)
	case t.Direction != client.In:
		return "only the receiver, " + partyName(t.To) + ", can reverse it"
	case reversible(t) <= 0:
		return "all of it was reversed already"
	}
	return ""
}

// reversible returns how much of a posted transfer was not sent back yet, in minor units.
func reversible(t client.Transfer) int64 {
	if t.ReversedAmount == nil {
		return t.Amount
	}
	return t.Amount - *t.ReversedAmount
}

// maxAmountText is the limit of a typed amount, in characters.
const maxAmountText = maxAmount

// asksAmount makes an action that moves money ask for the amount.
func (a action) asksAmount() action {
	a.label, a.maxLen = "Amount", maxAmountText
	return a
}

// actionOn returns an action on a transfer, with what its dialog shows of it. It asks for the
// amount, which begins as the largest one, unless that is fixed.
func (m *shared) actionOn(t client.Transfer, verb, amountName string, money moneyAction) action {
	a := action{
		verb: titleCase(verb), money: &money, hint: "this is all; type less for a part", maxLen: maxAmountText,
		initial: amountText(money.most, t.Currency),
		subject: []draw.Pair{{Name: "transfer", Value: t.Id.String(), Whole: true}, {Name: "from", Value: partyName(t.From), Paint: m.Title.Render},
			{Name: amountName, Value: amountOf(money.most, t.Currency), Whole: true}},
	}
	if !money.fixed {
		a = a.asksAmount()
	}
	if memo := value(t.Memo); memo != "" {
		a.subject = append(a.subject, draw.Pair{Name: "memo", Value: memo})
	}
	return a
}

// amountText returns an amount as it is typed.
func amountText(minor int64, currency string) string {
	return money.Amount{Minor: minor, Currency: money.Currency(currency)}.Decimal()
}

// partOf returns how a capture or reversal is written: on the command line, and in the record.
func partOf(t client.Transfer, verb string) (commandLine, described func(money.Amount) string) {
	id := t.Id.String()
	return func(amount money.Amount) string { return "kizo transfers " + verb + " " + id + " " + amount.Decimal() },
		func(amount money.Amount) string { return verb + " " + amount.String() + " of transfer " + id }
}

func (m *shared) captureAction(t client.Transfer) action {
	move := moneyAction{currency: t.Currency, most: t.Amount}
	move.effect = func(minor int64) string {
		text := "You receive " + amountOf(minor, t.Currency) + "."
		if rest := t.Amount - minor; rest > 0 {
			text += " The rest, " + amountOf(rest, t.Currency) + ", is released to its sender and cannot be captured later."
		}
		return text
	}
	move.commandLine, move.described = partOf(t, "capture")
	move.build = func(key string, minor int64) (client.Command, error) { return client.NewCapture(key, t.Id, &minor) }
	a := m.actionOn(t, "capture", "authorized", move)
	a.title = "Capture this authorization?"
	return a
}

func (m *shared) voidAction(t client.Transfer) action {
	id := t.Id.String()
	a := m.actionOn(t, "void", "authorized", moneyAction{
		currency: t.Currency, most: t.Amount, fixed: true,
		effect: func(minor int64) string {
			return amountOf(minor, t.Currency) + " is released to its sender. You receive nothing."
		},
		commandLine: func(money.Amount) string { return "kizo transfers void " + id },
		described:   func(money.Amount) string { return "void transfer " + id },
		build:       func(key string, _ int64) (client.Command, error) { return client.NewVoid(key, t.Id) },
	})
	a.title = "Void this authorization?"
	return a
}

func (m *shared) reverseAction(t client.Transfer) action {
	move := moneyAction{currency: t.Currency, most: reversible(t)}
	move.effect = func(minor int64) string {
		return "You send " + amountOf(minor, t.Currency) + " back to its sender, as a new transfer."
	}
	move.commandLine, move.described = partOf(t, "reverse")
	move.build = func(key string, minor int64) (client.Command, error) { return client.NewReverse(key, t.Id, &minor) }
	a := m.actionOn(t, "reverse", "left to reverse", move)
	a.title = "Send this back?"
	return a
}

// bankKeys returns the bindings that move money between the selected wallet and the user's bank.
func (s *walletScreen) bankKeys(m *shared) []binding {
	var off string
	switch {
	case m.readonly != "":
		off = m.errReadonly().Error()
	case len(m.wallets()) == 0:
		off = "there is no wallet"
	}
	currency := s.currency(m)
	deposit := binding{keys: []string{"D"}, shown: "D", help: "deposit from your bank", command: "kizo deposit AMOUNT " + currency, off: off,
		run: func(m *shared) tea.Cmd { m.act(m.depositAction(currency)); return nil }}
	withdraw := binding{keys: []string{"W"}, shown: "W", help: "withdraw to your bank", command: "kizo withdraw AMOUNT " + currency, off: off}
	for _, w := range m.wallets() {
		if w.Wallet.Currency != currency || off != "" {
			continue
		}
		available := w.Wallet.Available
		if available <= 0 {
			withdraw.off = "nothing is available in " + currency
		}
		withdraw.run = func(m *shared) tea.Cmd { m.act(m.withdrawAction(currency, available)); return nil }
	}
	return []binding{deposit.greyed(), withdraw.greyed()}
}

func (m *shared) depositAction(currency string) action {
	a := action{title: "Deposit money?", verb: "Deposit", hint: "from your bank", subject: []draw.Pair{{Name: "wallet", Value: currency}}}
	a.money = &moneyAction{
		currency:    currency,
		effect:      func(int64) string { return "The money arrives in the wallet when your bank has executed the payment." },
		commandLine: func(amount money.Amount) string { return "kizo deposit " + amount.Decimal() + " " + currency },
		described:   func(amount money.Amount) string { return "deposit " + amount.String() },
		build: func(key string, minor int64) (client.Command, error) {
			return client.NewDeposit(key, client.BankTransferCreate{Amount: minor, Currency: currency})
		},
	}
	return a.asksAmount()
}

func (m *shared) withdrawAction(currency string, available int64) action {
	a := action{
		title: "Withdraw money?", verb: "Withdraw", hint: "to your bank",
		subject: []draw.Pair{{Name: "wallet", Value: currency}, {Name: "available", Value: amountOf(available, currency), Whole: true}},
	}
	a.money = &moneyAction{
		currency: currency, most: available,
		effect: func(minor int64) string {
			return amountOf(minor, currency) + " is held until your bank has executed the payment. Then " + amountOf(available-minor, currency) + " is available."
		},
		commandLine: func(amount money.Amount) string { return "kizo withdraw " + amount.Decimal() + " " + currency },
		described:   func(amount money.Amount) string { return "withdraw " + amount.String() },
		build: func(key string, minor int64) (client.Command, error) {
			return client.NewWithdrawal(key, client.BankTransferCreate{Amount: minor, Currency: currency})
		},
	}
	return a.asksAmount()
}

// openWalletKey is the binding that opens a wallet in another currency.
func (m *shared) openWalletKey() binding {
	b := binding{keys: []string{"N"}, shown: "N", help: "open a wallet", command: "kizo wallet open CURRENCY", run: func(m *shared) tea.Cmd { m.act(m.openWalletAction()); return nil }}
	if m.readonly != "" {
		b.off = m.errReadonly().Error()
	}
	return b.greyed()
}

// openWalletAction asks for the currency.
func (m *shared) openWalletAction() action {
	server := m.server
	return action{
		title: "Open a wallet?", verb: "Open", label: "Currency", maxLen: 3, missing: "type a currency, such as EUR", hint: "a code of ISO 4217, such as EUR",
		subject: []draw.Pair{{Name: "you have", Value: strings.Join(m.currencies(), ", ")}},
		effect:  always("The wallet is empty at first. Nothing else changes."),
		check: func(text string) string {
			currency, err := money.ParseCurrency(strings.ToUpper(text))
			switch {
			case err != nil:
				return err.Error()
			case slices.Contains(m.currencies(), string(currency)):
				return "you have a wallet in " + string(currency) + " already"
			}
			return ""
		},
		commandLine: func(text string) string { return strings.TrimSpace("kizo wallet open " + strings.ToUpper(text)) },
		run: func(m *shared, text string) tea.Cmd {
			return m.ask(func(ctx context.Context) tea.Msg {
				opened, err := server.OpenWallet(ctx, strings.ToUpper(text))
				return actedMsg{done: "Opened a wallet in " + opened.Currency + ".", err: err}
			})
		},
	}
}
