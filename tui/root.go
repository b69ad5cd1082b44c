package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/localtime"
)

// The minimum size. On a smaller terminal, only q and ctrl+c work: a user must not confirm what is
// not visible.
const (
	minWidth  = 60
	minHeight = 15
)

// page is a screen with its title in the row of tabs.
type page struct {
	title string
	screen
}

// model is the program's state. Update changes it; whatever takes time is a command.
type model struct {
	shared
	pages    []page
	shown    int
	trail    []int        // the pages that were shown before, the last one last
	login    *loginScreen // replaces all pages while there is no session; nil otherwise
	mouse    bool         // the dashboard receives the mouse; if false, the terminal selects text with it
	tabs     []pageTab    // where the tabs were last drawn
	clock    func() time.Time
	retryNow func() // makes the feed reconnect now

	asking bool // a request for the summary is in progress
	dirty  bool // the summary changed during the request
}

// maxTrail limits the pages that are remembered to go back to.
const maxTrail = 20

// tickMsg comes once per second and updates ages on the screen.
type tickMsg struct{}

// dueMsg says that the next summary may be requested.
type dueMsg struct{}

// summaryPause is the minimum time between two summaries.
const summaryPause = 200 * time.Millisecond

// toastTime is how long a message stays in the footer.
const toastTime = 6 * time.Second

// showMsg selects a page by its title.
type showMsg struct{ title string }

func newModel(first shared, clock func() time.Time, retryNow func()) *model {
	first.now = clock()
	m := &model{
		shared: first, mouse: true, clock: clock, retryNow: retryNow,
		pages: []page{
			{"Wallet", &walletScreen{}}, {"Transfers", newTransfersScreen()}, {"Send", newSendScreen()},
			{"Queues", newQueuesScreen()}, {"Health", &healthScreen{}},
		},
	}
	m.startAt(first.custom.Start)
	m.selection = m.selected
	return m
}

func (m *model) Init() tea.Cmd { return tick() }

func tick() tea.Cmd { return tea.Tick(time.Second, func(time.Time) tea.Msg { return tickMsg{} }) }

// Update handles one message.
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
		m.endHighlights()
		return m, tea.Batch(tick(), m.broadcast(msg), m.unfinishedTick(), m.unreadTick())
	case sentMsg:
		return m, tea.Batch(m.broadcast(msg), m.askUnfinished())
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
	case commandDoneMsg:
		m.commandDone(msg)
		return m, m.askSummary()
	case copiedMsg:
		m.copied(msg)
		return m, nil
	}
	return m, m.handleServer(msg)
}

// handleServer handles a message that comes from the server.
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
			m.connection.receivedAt = m.now // the data was current until now
		}
		m.setConnectionState(msg)
		if msg.state == live {
			own = tea.Batch(m.askSummary(), m.askHistory("second"))
		}
	case historyMsg:
		m.takeHistory(msg)
	case codeNeededMsg:
		m.askForCode(msg)
	case actedMsg:
		own = m.askSummary()
		m.showResult(msg)
	case renamedMsg:
		m.showResult(msg.actedMsg)
		m.takeNames(msg.namesMsg)
	case namesMsg:
		m.takeNames(msg)
	case unreadMsg:
		m.takeUnread(msg)
	case unfinishedMsg:
		if msg.err == nil {
			m.unfinished = msg.list
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

// setUser stores who the user is. It first drops the data of another user, so that it is never
// shown to this one.
func (m *model) setUser(me client.User) tea.Cmd {
	var forgotten tea.Cmd
	if m.me.Handle != "" && m.me.Id != me.Id {
		m.summary, m.recent, m.ops, m.activity = nil, nil, operations{}, activity{strip: m.activity.strip}
		m.paid, m.names, m.unfinished, m.unfinishedAt, m.wallet = nil, nil, nil, time.Time{}, ""
		m.unread, m.unreadAt = 0, time.Time{}
		forgotten = m.broadcast(userChangedMsg{})
	}
	m.me, m.login = me, nil
	m.ops.denied = me.Role != client.UserRoleOperator
	if m.hides(m.shown) { // it was an operator's
		return tea.Batch(forgotten, m.turn(0))
	}
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
	m.showToast("Sent " + msg.what + " to the terminal's clipboard (OSC 52).")
}

// broadcast passes a message to every screen.
func (m *model) broadcast(msg tea.Msg) tea.Cmd {
	var commands []tea.Cmd
	for _, p := range m.pages {
		commands = append(commands, p.update(&m.shared, msg))
	}
	if m.overlay != nil {
		commands = append(commands, m.overlay.update(&m.shared, msg))
	}
	if m.dialog != nil && m.overlay != screen(m.dialog) { // an answer for it may still arrive
		commands = append(commands, m.dialog.update(&m.shared, msg))
	}
	if m.login != nil {
		commands = append(commands, m.login.update(&m.shared, msg))
	}
	return tea.Batch(commands...)
}

func (m *model) setConnectionState(msg connectionStateMsg) {
	m.noteConnection(msg.state)
	m.connection.state, m.connection.err = msg.state, msg.err
	m.connection.again = m.now.Add(msg.next)
	if msg.state == live {
		m.connection.receivedAt = m.now
	}
}

// handleEvents applies a batch of events. It requests the balances from the server, once per batch.
func (m *model) handleEvents(msg eventsMsg) tea.Cmd {
	m.connection.receivedAt = m.now
	moved := false
	for _, e := range msg.events {
		switch {
		case e.Ops != nil:
			m.ops.take(*e.Ops)
			m.ops.receivedAt = m.now
		case e.Transfer != nil:
			m.remember(*e.Transfer)
			m.noteTransfer(*e.Transfer)
			moved = true
		}
	}
	var asked tea.Cmd
	if moved {
		asked = m.askSummary()
	}
	return tea.Batch(asked, m.refresh(), m.askMinutes())
}

// refresher is a screen that requests data of its own while it is visible.
type refresher interface{ refresh(m *shared) tea.Cmd }

func (m *model) refresh() tea.Cmd {
	if r, asks := m.pages[m.shown].screen.(refresher); asks {
		return r.refresh(&m.shared)
	}
	return nil
}

// askSummary requests the summary. If a request is in progress or was made less than summaryPause
// ago, the next one follows as soon as it may.
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

// askedMsg is a summary that the model requested, not the feed.
type askedMsg struct{ summaryMsg }

func (m *model) setSummary(msg summaryMsg) {
	if msg.err == nil {
		m.summary, m.connection.receivedAt = &msg.summary, m.now
		m.remember(msg.summary.Recent...)
	}
}

// handleKeys handles keys one by one: fast typing arrives as one message. Pasted text is never
// keys.
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
