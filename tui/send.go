package tui

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

// sendScreen sends money.
//
//	form ──enter──► preview by the server ──► review ──y──► sending ──► done
//	  ▲                     │ refused            │ esc, enter    │ refused
//	  └─────────────────────┴────────────────────┴───────────────┘
//	  sending ──► unknown ──y──► sending, under the same key
//	  sending ──► proving ──enter──► sending, under the same key (stepup.go)
//
// Keys are text after enter has opened the form; until then, page keys work. The draft is kept
// until the money is sent; the form is entered again at its first field, and typing replaces the
// text of a field.
//
// Enter opens the review and y confirms it, so that pressing one key twice never moves money. The
// idempotency key is created for the review and is the same for every attempt.
type sendScreen struct {
	execution
	fields   [sendFields]*textField
	entered  bool // keys are typed into the focused field
	focus    int
	currency int  // index into the user's wallets; -1 for the default one
	chosen   bool // in the review, the focus is on the button that sends

	suggestions // for the payee
	known       sendData
	problems    [sendFields]string

	body    client.TransferCreate
	preview client.TransferPreview
	asked   int // number of the last request: answers to older ones are dropped
}

const (
	payeeField = iota
	amountField
	memoField
	sendFields
)

// The limits of the contract, in characters.
const (
	maxPayee  = 254
	maxAmount = 40
	maxMemo   = 140
)

// draftMsg fills the form, for example from a past transfer.
type draftMsg struct{ to, amount, currency, memo string }

// lookUpMsg says that the payee has not been edited for a moment.
type lookUpMsg struct{ prefix string }

type previewMsg struct {
	asked   int
	preview client.TransferPreview
	err     error
}

// lookUpPause delays the look-up, so that fast typing does not send a request per letter.
const lookUpPause = 120 * time.Millisecond

func newSendScreen() *sendScreen {
	s := &sendScreen{currency: -1}
	for i, maxLen := range []int{maxPayee, maxAmount, maxMemo} {
		s.fields[i] = newTextField(maxLen)
	}
	return s
}

func (s *sendScreen) typing() bool { return s.step == filling && s.entered || s.step == proving }

// enter enters the form. The text that it holds is selected.
func (s *sendScreen) enter(*shared) tea.Cmd {
	s.entered = true
	for _, field := range s.fields {
		field.choose()
	}
	return nil
}

// leave leaves the form and keeps the draft.
func (s *sendScreen) leave() { s.entered, s.focus = false, payeeField }

// clear empties the form, and keeps what is known of payees and limits.
func (s *sendScreen) clear(*shared) tea.Cmd {
	empty := newSendScreen()
	empty.entered, empty.known, empty.asked = s.entered, s.known, s.asked
	*s = *empty
	return nil
}

// draft reports whether the form holds something that was not sent.
func (s *sendScreen) draft() bool {
	if s.step == done {
		return false
	}
	for _, field := range s.fields {
		if strings.TrimSpace(field.text()) != "" {
			return true
		}
	}
	return false
}

func (s *sendScreen) update(m *shared, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		if s.step == proving {
			s.code.take(msg)
			return nil
		}
		if s.typing() && s.fields[s.focus].take(msg) {
			return s.changed(m)
		}
	case draftMsg:
		return s.fill(m, msg)
	case lookUpMsg:
		return s.lookUp(m, msg.prefix)
	case peopleMsg:
		if msg.err == nil && msg.prefix == s.prefix() { // suggestions are optional
			s.people, s.looked = msg.people, msg.prefix
		}
	case sendDataMsg:
		s.known, m.paid = msg.sendData, msg.paid
	case previewMsg:
		s.previewed(m, msg)
	case sentMsg:
		if refusal, answered := s.answered(msg); refusal != nil {
			s.refused(refusal)
		} else if answered && s.step == done {
			m.showToast("Sent.")
		}
	case steppedUpMsg:
		return s.steppedUp(m, msg)
	case userChangedMsg:
		if !s.unfinished() { // the key of a transfer in doubt stays visible
			*s = *newSendScreen()
		}
	}
	return nil
}

// fill fills the form from a draft, unless a transfer is in progress.
func (s *sendScreen) fill(m *shared, d draftMsg) tea.Cmd {
	if s.unfinished() {
		m.showToast("Wait for the outcome of the transfer in progress.")
		return nil
	}
	s.entered = false
	s.clear(m)
	s.fields[payeeField].set(d.to)
	s.fields[amountField].set(d.amount)
	s.fields[memoField].set(d.memo)
	for i, currency := range m.currencies() {
		if currency == d.currency {
			s.currency = i
		}
	}
	if d.to != "" {
		s.focus = amountField
	}
	return nil
}

// changed checks the field that was edited.
func (s *sendScreen) changed(m *shared) tea.Cmd {
	s.problem, s.problems[s.focus] = "", ""
	switch s.focus {
	case amountField:
		if text := s.fields[amountField].text(); text != "" {
			s.problems[amountField] = errorText(s.amount(m))
		}
	case payeeField:
		prefix := s.prefix()
		if s.person = 0; prefix == "" {
			s.people, s.looked = nil, ""
			return nil
		}
		return tea.Tick(lookUpPause, func(time.Time) tea.Msg { return lookUpMsg{prefix} })
	}
	return nil
}

// prefix returns the text to look people up by; empty for e-mail addresses and wallet ids.
func (s *sendScreen) prefix() string {
	text := strings.TrimSpace(s.fields[payeeField].text())
	name, isHandle := strings.CutPrefix(text, "@")
	if !isHandle && strings.Contains(text, "@") || len(name) > 64 {
		return ""
	}
	return name
}

func (s *sendScreen) lookUp(m *shared, prefix string) tea.Cmd {
	if prefix != s.prefix() || prefix == s.looked || s.step != filling {
		return nil
	}
	server := m.server
	return m.ask(func(ctx context.Context) tea.Msg {
		people, err := server.SearchUsers(ctx, prefix)
		return peopleMsg{prefix, people, err}
	})
}

// complete takes the chosen suggestion as the payee.
func (s *sendScreen) complete(m *shared) {
	if list := s.suggested(m); s.person < len(list) {
		s.fields[payeeField].set("@" + list[s.person].Handle)
		s.people, s.looked, s.problems[payeeField], s.person = nil, s.prefix(), "", 0
	}
}

// in returns the chosen currency, empty if there is no wallet.
func (s *sendScreen) in(m *shared) string {
	currencies := m.currencies()
	if len(currencies) == 0 {
		return ""
	}
	return currencies[s.wallet(m)]
}

// wallet returns the index of the chosen wallet.
func (s *sendScreen) wallet(m *shared) int {
	currencies := m.currencies()
	if s.currency < 0 {
		return max(0, slices.Index(currencies, m.currency))
	}
	return min(s.currency, len(currencies)-1)
}

func (s *sendScreen) amount(m *shared) (money.Amount, error) {
	currency := s.in(m)
	if currency == "" {
		return money.Amount{}, errors.New("there is no wallet to send from: kizo wallet open CURRENCY")
	}
	text, available := strings.TrimSpace(s.fields[amountField].text()), m.available(currency)
	if strings.EqualFold(text, "all") {
		if available <= 0 {
			return money.Amount{}, errors.New("nothing is available in " + currency)
		}
		text = amountText(available, currency)
	}
	amount, err := money.Parse(text, money.Currency(currency))
	if err == nil && amount.Minor > available {
		err = errors.New("only " + amountOf(available, currency) + " is available")
	}
	return amount, err
}

// available returns what can be sent from a wallet, in minor units.
func (m *shared) available(currency string) int64 {
	for _, w := range m.wallets() {
		if w.Wallet.Currency == currency {
			return w.Wallet.Available
		}
	}
	return 0
}

// review checks the form and requests a preview from the server.
func (s *sendScreen) review(m *shared) tea.Cmd {
	if m.readonly != "" {
		m.showError(m.errReadonly())
		return nil
	}
	to := strings.TrimSpace(s.fields[payeeField].text())
	if to != "" && !strings.ContainsAny(to, "@-") { // a handle without its sign; ids have dashes
		to = "@" + to
	}
	amount, err := s.amount(m)
	s.problems = [sendFields]string{amountField: errorText(amount, err)}
	if to == "" {
		s.problems[payeeField] = "type a @handle, an e-mail address or a wallet id"
	}
	for i, problem := range s.problems {
		if problem != "" {
			s.focus = i
			return nil
		}
	}
	body := client.TransferCreate{To: to, Amount: amount.Minor, Currency: string(amount.Currency)}
	if memo := strings.TrimSpace(s.fields[memoField].text()); memo != "" {
		body.Memo = &memo
	}
	s.asked++
	s.step, s.body, s.what, s.problem = previewing, body, "transfer "+amount.String()+" to "+to, ""
	server, asked := m.server, s.asked
	return m.ask(func(ctx context.Context) tea.Msg {
		preview, err := server.Preview(ctx, body)
		return previewMsg{asked, preview, err}
	})
}

func (s *sendScreen) previewed(m *shared, msg previewMsg) {
	if s.step != previewing || msg.asked != s.asked {
		return
	}
	if s.step = filling; msg.err != nil {
		s.refused(msg.err)
		return
	}
	command, err := client.NewTransfer(m.newKey(), s.body)
	if err != nil {
		m.showError(err)
		return
	}
	s.step, s.preview, s.command, s.chosen = reviewing, msg.preview, command, false
}

// refused returns to the form and shows the error.
func (s *sendScreen) refused(err error) {
	s.step, s.problem = filling, err.Error()
	answer, ok := asRefusal(err)
	if !ok {
		return
	}
	switch answer.Code {
	case client.PayeeNotFound, client.PayeeRenamed, client.PayeeClosed, client.PayeeIsSelf, client.PayeeWalletMissing:
		s.focus = payeeField
	case client.InsufficientFunds, client.AmountOutOfRange, client.BalanceLimit:
		s.focus = amountField
	case client.MemoMalformed:
		s.focus = memoField
	}
}

func errorText(_ money.Amount, err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}
