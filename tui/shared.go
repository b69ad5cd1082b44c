package tui

import (
	"context"
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

// Server is what the dashboard asks of a server, as client.Kizo has it.
type Server interface {
	operatorServer
	snapshotServer
}

// shared is what all screens see.
type shared struct {
	pen
	server   Server
	readonly bool
	now      time.Time // of this update

	me         client.User
	summary    *client.Summary // nil until the first one
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
func (m *shared) say(text string) { m.toast, m.bad, m.toastAt = text, false, m.now }

// complain shows what went wrong for a while.
func (m *shared) complain(err error) { m.toast, m.bad, m.toastAt = err.Error(), true, m.now }

// forbidden reports whether the server said that this is not for the user.
func forbidden(err error) bool {
	refused, ok := asRefusal(err)
	return ok && refused.Code == client.Forbidden
}
