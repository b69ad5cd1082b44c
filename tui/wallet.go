package tui

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// walletScreen shows the balance of each currency, what moved it, what is pending, and the newest
// transfers, from the newest summary and the data of the selected wallet.
type walletScreen struct {
	selected, offset  int
	top, listed, wide int // position and size of the list when it was last drawn

	data    walletData
	asked   string // the currency of the last request
	askedAt time.Time
	hidden  bool // another page is shown
}

func (s *walletScreen) typing() bool { return false }

// leave implements leaver.
func (s *walletScreen) leave() { s.hidden = true }

// update handles data of the server, and a click on a wallet.
func (s *walletScreen) update(m *shared, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.MouseMsg:
		row := s.offset + msg.Y - s.top - 1
		if msg.Action == tea.MouseActionPress && msg.Button == tea.MouseButtonLeft &&
			msg.Y > s.top && msg.Y < s.top+s.listed && msg.X < s.wide && row < len(m.wallets()) {
			s.selected = row
			m.wallet = s.currency(m)
			return s.refresh(m)
		}
	case summaryMsg:
		if !s.hidden {
			return s.refresh(m)
		}
	case userChangedMsg:
		s.data, s.asked = walletData{}, ""
	case walletMsg:
		if msg.err == nil && msg.data.currency == s.asked {
			s.data = msg.data
			m.remember(msg.data.recent...)
		}
	}
	return nil
}

func (s *walletScreen) keys(m *shared) []binding {
	moves := func(by int) func(*shared) tea.Cmd {
		return func(m *shared) tea.Cmd {
			if m.summary != nil {
				s.selected = max(0, min(s.selected+by, len(m.summary.Wallets)-1))
				m.wallet = s.currency(m)
			}
			return s.refresh(m)
		}
	}
	return append([]binding{
		{keys: []string{"j", "down"}, shown: "j/↓", help: "next wallet", command: "kizo wallet list", run: moves(1)},
		{keys: []string{"k", "up"}, shown: "k/↑", help: "previous wallet", run: moves(-1)},
		{keys: []string{"g", "home"}, shown: "g", help: "first wallet", run: moves(-1 << 16)},
		{keys: []string{"G", "end"}, shown: "G", help: "last wallet", run: moves(1 << 16)},
		{keys: []string{"enter"}, shown: "enter", help: "show its transfers", command: "kizo transfers list --currency " + s.currency(m), run: func(m *shared) tea.Cmd {
			filter := "currency:" + s.currency(m)
			return func() tea.Msg { return narrowMsg{filter} }
		}},
		{keys: []string{"s"}, shown: "s", help: "send from it", command: "kizo transfer TO AMOUNT " + s.currency(m), run: func(m *shared) tea.Cmd {
			draft := draftMsg{currency: s.currency(m)}
			return func() tea.Msg { return draft }
		}},
	}, append(s.bankKeys(m), m.openWalletKey(), payeesKey(), m.unfinishedKey())...)
}

// currency returns the currency of the selected wallet.
func (s *walletScreen) currency(m *shared) string {
	if wallets := m.wallets(); len(wallets) > 0 {
		return wallets[min(s.selected, len(wallets)-1)].Wallet.Currency
	}
	return "CURRENCY"
}
