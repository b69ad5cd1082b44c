package tui

import (
	"context"
	"io"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
)

// screen is one page of the dashboard, or something that stands over it. It draws what is known; commands fetch.
type screen interface {
	// update takes messages: keys that no binding took if it is the one that is seen, data always.
	update(m *shared, msg tea.Msg) tea.Cmd
	// view is exactly height lines of exactly width columns.
	view(m *shared, width, height int) string
	// keys work while the screen is seen. They come before those that work everywhere.
	keys(m *shared) []binding
	// typing says that letters are text now, so that only the screen's own bindings work.
	typing() bool
}

// Server is what the dashboard asks of a server, as client.Client has it.
type Server interface {
	operatorServer
	snapshotServer
	transferLister
	LogIn(ctx context.Context, login, password string) (client.User, error)
	Explain(ctx context.Context, transfer client.ID) (client.Timeline, error)
	SearchUsers(ctx context.Context, q string) ([]client.Person, error)
	Preview(ctx context.Context, body client.TransferCreate) (client.TransferPreview, error)
}

// shared is what all screens see.
type shared struct {
	pen
	server        Server
	readonly      bool
	currency      string    // of the default wallet; empty if there is none
	now           time.Time // of this update
	width, height int       // of the terminal

	// move writes a command down, sends it and records what became of it.
	move      func(command client.Command, what string) (client.Receipt, error)
	newKey    func() string // an idempotency key
	exportDir string
	terminal  io.Writer // for what is no picture, such as the clipboard
	inTmux    bool

	me         client.User
	summary    *client.Summary   // nil until the first one
	recent     []client.Transfer // the newest that were told, newest first, at most maxRecent
	connection connection
	ops        operations

	overlay screen // over the page; nil mostly
	toast   string
	bad     bool // the toast is a complaint
	toastAt time.Time
}

// requestTimeout bounds every request of the dashboard, retries included.
const requestTimeout = 10 * time.Second

// ask makes a command of a request.
func (m *shared) ask(do func(ctx context.Context) tea.Msg) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		defer cancel()
		return do(ctx)
	}
}

// open puts a screen over the page.
func (m *shared) open(s screen) { m.overlay = s }

// close takes it away.
func (m *shared) close() { m.overlay = nil }

// say shows a sentence for a while.
func (m *shared) showToast(text string) { m.toast, m.bad, m.toastAt = text, false, m.now }

// complain shows what went wrong for a while.
func (m *shared) showError(err error) { m.toast, m.bad, m.toastAt = err.Error(), true, m.now }

// forbidden reports whether the server said that this is not for the user.
func forbidden(err error) bool {
	refused, ok := asRefusal(err)
	return ok && refused.Code == client.Forbidden
}

// wallets are what the server last said of them.
func (m *shared) wallets() []client.WalletSummary {
	if m.summary == nil {
		return nil
	}
	return m.summary.Wallets
}

// currencies are those of the user's wallets.
func (m *shared) currencies() []string {
	var codes []string
	for _, w := range m.wallets() {
		codes = append(codes, w.Wallet.Currency)
	}
	return codes
}

// maxRecent bounds the newest transfers that are held for every screen.
const maxRecent = 60

// remember takes transfers among the newest, or what has become of one of them.
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

// latest is the later of two states of one transfer. An answer may have been written before an event that came first;
// pending never comes after an end.
func latest(held, told client.Transfer) client.Transfer {
	if held.State != client.Pending && told.State == client.Pending {
		return held
	}
	return told
}
