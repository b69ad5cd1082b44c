package tui

import (
	"context"
	"io"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
)

// screen is a page of the dashboard or an overlay. It draws known data; commands fetch data.
type screen interface {
	// update handles a message: unbound keys if the screen has the focus, data always.
	update(m *shared, msg tea.Msg) tea.Cmd
	// view returns exactly height lines of exactly width columns.
	view(m *shared, width, height int) string
	// keys returns the bindings that work while the screen has the focus. They override the global
	// ones.
	keys(m *shared) []binding
	// typing reports whether letters are text, so that of the letters only the screen's own
	// bindings work.
	typing() bool
}

// Server is the part of client.Client that the dashboard uses.
type Server interface {
	operatorServer
	snapshotServer
	transferLister
	walletServer
	deviceServer
	sendServer
	noticeServer
	LogIn(ctx context.Context, login, password, otp string) (client.User, error)
	StepUp(ctx context.Context, otp string) (validUntil time.Time, err error)
	Explain(ctx context.Context, transfer client.ID) (client.Timeline, error)
}

// shared is the state that all screens see.
type shared struct {
	pen
	server        Server
	context       string // empty if it has no name
	readonly      string // why every change is refused; empty if none is
	currency      string // of the default wallet; empty if there is none
	wallet        string // the currency that is selected on the Wallet screen; empty before that
	saved         []SavedFilter
	now           time.Time // the time of this update
	width, height int       // size of the terminal

	// records a command, sends it and records the result
	move      func(command client.Command, what string) (client.Receipt, error)
	newKey    func() string // an idempotency key
	exportDir string
	terminal  io.Writer // for sequences that draw nothing, such as the clipboard's
	inTmux    bool

	payeeNames PayeeNames // nil if there are none
	names      map[string]string
	paid       []client.Transfer // the newest that the user sent, as the Send screen requested them

	recorded     func(ctx context.Context, me client.User) ([]Unfinished, error) // nil if nothing is recorded
	unfinished   []Unfinished
	unfinishedAt time.Time // when they were last read

	unread   int       // notices
	unreadAt time.Time // when they were last counted

	custom      Custom
	activity    activity
	changed     map[client.ID]time.Time  // when the rows that are highlighted changed
	selection   func() map[string]string // the facts of the selected row
	environment func() []string          // of the user's commands; nil: that of this process

	me         client.User
	summary    *client.Summary   // nil before the first one
	recent     []client.Transfer // the newest known transfers, newest first, at most maxRecent
	connection connection
	ops        operations

	overlay screen        // covers the page; usually nil
	dialog  *reviewDialog // the last one that moved money; it is not always shown
	toast   string
	bad     bool // the toast is an error
	toastAt time.Time
}

// requestTimeout limits every request of the dashboard, including retries.
const requestTimeout = 10 * time.Second

// ask turns a request into a command.
func (m *shared) ask(do func(ctx context.Context) tea.Msg) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		defer cancel()
		return do(ctx)
	}
}

// open shows a screen over the page.
func (m *shared) open(s screen) { m.overlay = s }

// close closes the overlay.
func (m *shared) close() { m.overlay = nil }

// showToast shows a message for toastTime.
func (m *shared) showToast(text string) { m.toast, m.bad, m.toastAt = text, false, m.now }

// showError shows an error for toastTime.
func (m *shared) showError(err error) { m.toast, m.bad, m.toastAt = err.Error(), true, m.now }

// showResult shows the result of an action.
func (m *shared) showResult(msg actedMsg) {
	if msg.err != nil {
		m.showError(msg.err)
		return
	}
	m.showToast(msg.done)
}

// forbidden reports whether the server refused the request for the user's role.
func forbidden(err error) bool {
	refused, ok := asRefusal(err)
	return ok && refused.Code == client.Forbidden
}

// wallets returns the wallets of the newest summary.
func (m *shared) wallets() []client.WalletSummary {
	if m.summary == nil {
		return nil
	}
	return m.summary.Wallets
}

// currencies returns the currencies of the user's wallets.
func (m *shared) currencies() []string {
	var codes []string
	for _, w := range m.wallets() {
		codes = append(codes, w.Wallet.Currency)
	}
	return codes
}

// maxRecent limits the newest transfers that all screens share.
const maxRecent = 60

// remember adds transfers to the newest ones, or updates them.
func (m *shared) remember(transfers ...client.Transfer) {
	for _, t := range transfers {
		at := newerThan(m.recent, t)
		if at < len(m.recent) && m.recent[at].Id == t.Id {
			m.recent[at] = latest(m.recent[at], t)
			continue
		}
		m.recent = insert(m.recent, at, t)
		m.recent = m.recent[:min(len(m.recent), maxRecent)]
	}
}

// latest returns the later of two states of one transfer. An answer may be older than an event that
// arrived before it; a final state never becomes pending again.
func latest(held, update client.Transfer) client.Transfer {
	if held.State != client.Pending && update.State == client.Pending {
		return held
	}
	return update
}
