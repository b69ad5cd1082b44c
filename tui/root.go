package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/localtime"
)

// The least that there is room for anything on. Below it, no key but q does anything: nobody should confirm what cannot be seen.
const (
	minWidth  = 60
	minHeight = 15
)

// page is a screen with its name in the row of tabs.
type page struct {
	title string
	screen
}

// model is the program. Update decides; what takes time is a command.
type model struct {
	shared
	pages    []page
	shown    int
	login    *loginScreen // in place of everything while there is no session; nil otherwise
	mouse    bool         // clicks and the wheel are ours; the terminal selects text without it
	tabs     []tabSpan    // where the tabs were last drawn
	clock    func() time.Time
	retryNow func() // has the line tried now

	asking bool // a summary is under way
	dirty  bool // and something has happened since
}

// tickMsg comes once a second, for what shows an age.
type tickMsg struct{}

// dueMsg says that a summary may be asked for again.
type dueMsg struct{}

// summaryPause is the least time between two summaries, however much happens.
const summaryPause = 200 * time.Millisecond

// toastTime is how long a sentence stands in the footer.
const toastTime = 6 * time.Second

// showMsg asks for another page by its title.
type showMsg struct{ title string }

func newModel(first shared, clock func() time.Time, retryNow func()) *model {
	first.now = clock()
	return &model{
		shared: first, mouse: true, clock: clock, retryNow: retryNow,
		pages: []page{
			{"Wallet", &walletScreen{}}, {"Transfers", newTransfersScreen()}, {"Send", newSendScreen()},
			{"Queues", newQueuesScreen()}, {"Health", healthScreen{}},
		},
	}
}

func (m *model) Init() tea.Cmd { return tick() }

func tick() tea.Cmd { return tea.Tick(time.Second, func(time.Time) tea.Msg { return tickMsg{} }) }

// Update takes one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.now = m.clock()
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyMsg:
		return m, m.handleKeys(msg)
	case tea.MouseMsg:
		return m, m.handleMouse(msg)
	case tea.ResumeMsg:
		m.retryNow()
		return m, m.askSummary()
	case tickMsg:
		return m, tea.Batch(tick(), m.broadcast(msg))
	case showMsg:
		return m, m.show(msg.title)
	case draftMsg:
		return m, tea.Batch(m.broadcast(msg), m.show("Send"))
	case dueMsg:
		m.asking = false
		if m.dirty {
			return m, m.askSummary()
		}
		return m, nil
	case copiedMsg:
		m.copied(msg)
		return m, nil
	}
	return m, m.handleServer(msg)
}

// heard takes what the server says.
func (m *model) handleServer(msg tea.Msg) tea.Cmd {
	var own tea.Cmd
	switch msg := msg.(type) {
	case meMsg:
		own = m.setUser(msg.me)
	case loggedOutMsg:
		m.connection = connection{state: loggedOut, receivedAt: m.connection.receivedAt}
		if m.login == nil {
			m.login = newLoginScreen()
			m.close()
		}
	case loggedInMsg:
		own = m.loggedIn(msg)
	case connectionStateMsg:
		if m.connection.state == live && msg.state == lost && m.me.Role != client.UserRoleOperator {
			m.connection.receivedAt = m.now // until now it was as the server said
		}
		m.setConnectionState(msg)
		if msg.state == live {
			own = m.askSummary()
		}
	case askedMsg:
		due := tea.Tick(summaryPause, func(time.Time) tea.Msg { return dueMsg{} })
		m.setSummary(msg.summaryMsg)
		return tea.Batch(due, m.broadcast(msg.summaryMsg))
	case summaryMsg:
		m.setSummary(msg)
	case eventsMsg:
		own = m.handleEvents(msg)
	}
	return tea.Batch(own, m.broadcast(msg))
}

// known says who the user is. What is known of another one is forgotten before it can be taken for this one's.
func (m *model) setUser(me client.User) tea.Cmd {
	var forgotten tea.Cmd
	if m.me.Handle != "" && m.me.Id != me.Id {
		m.summary, m.recent, m.ops = nil, nil, operations{}
		forgotten = m.broadcast(userChangedMsg{})
	}
	m.me, m.login = me, nil
	m.ops.denied = me.Role != client.UserRoleOperator
	return forgotten
}

func (m *model) loggedIn(msg loggedInMsg) tea.Cmd {
	if msg.err != nil || m.login == nil {
		return nil
	}
	m.retryNow()
	return m.setUser(msg.me)
}

func (m *model) copied(msg copiedMsg) {
	if msg.err != nil {
		m.showError(msg.err)
		return
	}
	m.showToast("The terminal was asked to copy " + msg.what + " (OSC 52).")
}

// tell gives a message to every screen.
func (m *model) broadcast(msg tea.Msg) tea.Cmd {
	var commands []tea.Cmd
	for _, p := range m.pages {
		commands = append(commands, p.update(&m.shared, msg))
	}
	if m.overlay != nil {
		commands = append(commands, m.overlay.update(&m.shared, msg))
	}
	if m.login != nil {
		commands = append(commands, m.login.update(&m.shared, msg))
	}
	return tea.Batch(commands...)
}

func (m *model) setConnectionState(msg connectionStateMsg) {
	m.connection.state, m.connection.err = msg.state, msg.err
	m.connection.again = m.now.Add(msg.next)
	if msg.state == live {
		m.connection.receivedAt = m.now
	}
}

// happened takes a batch of events. Balances are the server's to say: it is asked, once for the whole batch.
func (m *model) handleEvents(msg eventsMsg) tea.Cmd {
	m.connection.receivedAt = m.now
	moved := false
	for _, e := range msg.events {
		switch {
		case e.Ops != nil:
			m.ops.take(*e.Ops)
		case e.Transfer != nil:
			m.remember(*e.Transfer)
			moved = true
		}
	}
	var asked tea.Cmd
	if moved {
		asked = m.askSummary()
	}
	return tea.Batch(asked, m.refresh())
}

// refresher is a screen that asks for more than everybody does, while it is seen.
type refresher interface{ refresh(m *shared) tea.Cmd }

func (m *model) refresh() tea.Cmd {
	if r, asks := m.pages[m.shown].screen.(refresher); asks {
		return r.refresh(&m.shared)
	}
	return nil
}

// askSummary asks unless that is under way or was a moment ago; then it is asked as soon as may be.
func (m *model) askSummary() tea.Cmd {
	if m.asking {
		m.dirty = true
		return nil
	}
	m.asking, m.dirty = true, false
	server, month := m.server, localtime.MonthStart(m.now)
	return m.ask(func(ctx context.Context) tea.Msg {
		summary, err := server.Summary(ctx, month)
		return askedMsg{summaryMsg{summary, err}}
	})
}

// askedMsg is a summary that this model asked for, not the feed.
type askedMsg struct{ summaryMsg }

func (m *model) setSummary(msg summaryMsg) {
	if msg.err == nil {
		m.summary, m.connection.receivedAt = &msg.summary, m.now
		m.remember(msg.summary.Recent...)
	}
}

// typed takes keys one by one: those that are pressed fast come as one message. What was pasted is text, and never keys.
func (m *model) handleKeys(msg tea.KeyMsg) tea.Cmd {
	if msg.Type != tea.KeyRunes || len(msg.Runes) < 2 && !msg.Paste {
		return m.key(msg)
	}
	if msg.Paste {
		if m.small() || !m.focused().typing() {
			return nil
		}
		return m.focused().update(&m.shared, msg)
	}
	var commands []tea.Cmd
	for _, r := range msg.Runes {
		commands = append(commands, m.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: msg.Alt}))
	}
	return tea.Batch(commands...)
}
