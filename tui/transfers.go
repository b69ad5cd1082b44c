package tui

import (
	"context"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// transfersScreen is the list of transfers, narrowed by a filter, and the detail of one of them.
//
//	list ──enter──► detail        beside the list where it fits
//	  └─────/─────► filter ──enter──► list
type transfersScreen struct {
	history
	filter filter
	filterEditor
	tabs []tabSpan // of the saved filters, where they were last drawn

	paused bool // the list does not follow the newest transfer
	unseen int  // newer transfers above the screen that came since then

	selected, offset int
	visible          int // number of visible rows when the list was last drawn
	top              int // line of the body where the rows begin
	drawn            draw.Table

	list       int      // number of the list: answers for an older one are dropped
	asked      *pageAsk // a request is in progress
	stale      bool     // the first page must be read again
	again      bool     // and again after that
	began      time.Time
	emptyPages int // consecutive pages without a match
	failed     error
	failedAt   time.Time
	exporting  bool

	reading bool // the detail fills the screen
	detail  transferDetail
}

// pageAsk identifies the requested page.
type pageAsk struct {
	list, page int
	cursor     string
}

type pageMsg struct {
	pageAsk
	found client.TransferList
	err   error
}

// narrowMsg applies a filter.
type narrowMsg struct{ filter string }

const (
	// readAhead is how many rows below the screen are loaded before they become visible.
	readAhead = 40
	// maxEmptyPages is the number of pages without a match after which the user must continue the
	// search.
	maxEmptyPages = 25
	// retryPause is the minimum time between a failed request and the next.
	retryPause = 2 * time.Second
	// beginPause is the minimum time between two reads of the first page.
	beginPause = 500 * time.Millisecond
)

func newTransfersScreen() *transfersScreen { return &transfersScreen{visible: transferPageSize / 2} }

func (s *transfersScreen) typing() bool { return s.field != nil }

// update handles the server's messages, and letters of the filter.
func (s *transfersScreen) update(m *shared, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		if s.field != nil && s.field.take(msg) {
			s.choice, s.back = 0, 0
			s.checkFilter(m)
		}
		return nil
	case tea.MouseMsg:
		if cmd := s.click(m, msg); cmd != nil {
			return cmd
		}
	case pageMsg:
		s.taken(m, msg)
	case eventsMsg:
		s.handleEvents(msg.events)
	case connectionStateMsg:
		if msg.state == live { // there are no events for what was missed
			s.restart()
		}
	case summaryMsg:
		if m.connection.state != live && s.selected == 0 { // there will be no events for new transfers
			s.restart()
		}
	case narrowMsg:
		return tea.Batch(s.narrow(m, msg.filter), func() tea.Msg { return showMsg{"Transfers"} })
	case userChangedMsg:
		*s = *newTransfersScreen()
		return nil
	case exportedMsg:
		s.exporting = false
		if msg.err != nil {
			m.showError(msg.err)
		} else {
			m.showToast(msg.message())
		}
		return nil
	case lookMsg, timelineMsg:
		return s.detail.update(m, s.current(), msg)
	}
	return s.fetch(m)
}

// refresh requests what is missing on the screen.
func (s *transfersScreen) refresh(m *shared) tea.Cmd { return s.fetch(m) }

// fetch requests the next page that is needed, one at a time, and the timeline of the selected
// transfer.
func (s *transfersScreen) fetch(m *shared) tea.Cmd {
	look := s.detail.look(m, s.current(), s.reading || m.width >= twoPanes)
	if s.asked != nil || m.me.Handle == "" || s.failed != nil && m.now.Sub(s.failedAt) < retryPause {
		return look
	}
	if s.stale {
		if m.now.Sub(s.began) < beginPause {
			return look // the next tick retries
		}
		s.began = m.now
		return tea.Batch(look, s.ask(m, 0, ""))
	}
	page, cursor, wanted := s.wanted(s.offset, s.offset+s.visible+readAhead)
	if !wanted || page == len(s.pages) && s.emptyPages >= maxEmptyPages {
		return look
	}
	return tea.Batch(look, s.ask(m, page, cursor))
}

func (s *transfersScreen) ask(m *shared, page int, cursor string) tea.Cmd {
	key := pageAsk{s.list, page, cursor}
	s.asked = &key
	server, params := m.server, s.filter.params
	params.Limit = pointerTo[int32](transferPageSize)
	if cursor != "" {
		params.Cursor = &cursor
	}
	return m.ask(func(ctx context.Context) tea.Msg {
		found, err := server.Transfers(ctx, params)
		return pageMsg{key, found, err}
	})
}

func (s *transfersScreen) taken(m *shared, msg pageMsg) {
	if s.asked == nil || *s.asked != msg.pageAsk {
		return
	}
	s.asked, s.failed = nil, msg.err
	if msg.err != nil {
		s.failedAt = m.now
		return
	}
	if msg.page == 0 {
		s.stale, s.again = s.again, false
	}
	if s.emptyPages++; len(msg.found.Items) > 0 {
		s.emptyPages = 0
	}
	if msg.page == 0 && s.filter.text == "" {
		m.remember(msg.found.Items[:min(len(msg.found.Items), maxRecent)]...)
	}
	chosen, known := s.at(s.selected)
	followed := s.selected == 0 && !s.paused
	s.take(msg.page, msg.cursor, msg.found)
	if known && !followed {
		if row := s.row(chosen.Id); row >= 0 {
			s.offset += row - s.selected
			s.selected = row
		}
	}
	s.move(0)
}

// restart reads the first page again if its rows are visible; otherwise the visible rows stay as
// they are.
func (s *transfersScreen) restart() {
	if s.selected >= s.visible && len(s.pages) > 0 {
		return
	}
	s.begin()
}

// begin reads the first page again, after the current request if there is one. The list stays
// visible until then.
func (s *transfersScreen) begin() {
	if s.asked != nil && s.asked.page == 0 {
		s.again = true
		return
	}
	s.list++
	s.asked, s.failed, s.emptyPages = nil, nil, 0
	s.stale = true
}

// handleEvents applies events to the list. It follows the newest transfer until the user moves in
// it; then the same rows stay where they are.
func (s *transfersScreen) handleEvents(events []client.Event) {
	unsure := false
	for _, e := range events {
		if e.Transfer == nil {
			continue
		}
		if e.Transfer.Id == s.detail.id {
			s.detail.old = true
		}
		if !s.filter.canMatch() {
			unsure = true
			continue
		}
		added := s.applyEvent(*e.Transfer, s.filter.matches(*e.Transfer))
		if added >= 0 && added <= s.selected && (s.selected > 0 || s.paused) {
			if added <= s.offset {
				s.unseen++
			}
			s.selected++
			s.offset++
		}
	}
	switch {
	case unsure:
		s.restart()
	case len(s.fresh) <= maxFresh:
	case s.selected <= len(s.fresh) && !s.paused, s.offset == 0:
		s.selected, s.offset = 0, 0
		s.truncate(transferPageSize)
		s.begin()
	default:
		gone := s.skip(s.offset)
		s.selected, s.offset, s.unseen = s.selected-gone, s.offset-gone, max(0, s.unseen-gone)
	}
}

// current returns the selected transfer, nil if there is none or its page is not loaded.
func (s *transfersScreen) current() *client.Transfer {
	if t, known := s.at(s.selected); known {
		return &t
	}
	return nil
}

// move selects another row.
func (s *transfersScreen) move(by int) {
	s.selected = max(0, min(s.selected+by, s.length()-1))
	s.scroll()
}

// follow selects the newest transfer, now and when there is a newer one.
func (s *transfersScreen) follow() {
	s.paused, s.unseen, s.selected, s.offset = false, 0, 0, 0
	if s.skipped > 0 {
		s.begin()
	}
}

// newer returns the number of transfers that came above the screen since the list is paused.
func (s *transfersScreen) newer() int { return s.unseen + s.skipped }

func (s *transfersScreen) scroll() {
	s.offset = max(0, min(s.offset, s.length()-s.visible))
	s.offset = min(max(s.offset, s.selected-s.visible+1), s.selected)
	s.unseen = min(s.unseen, s.offset)
}

// click selects the row under the mouse; a click on the selected row opens it. A click on a title
// filters by that column, and one on a tab shows its filter.
func (s *transfersScreen) click(m *shared, msg tea.MouseMsg) tea.Cmd {
	if msg.Action != tea.MouseActionPress || msg.Button != tea.MouseButtonLeft || s.reading || s.field != nil {
		return nil
	}
	for i, tab := range s.tabs {
		if msg.Y == tab.row && msg.X >= tab.from && msg.X < tab.to {
			return s.turnSaved(i - s.savedTab(m))(m)
		}
	}
	if msg.Y == s.top-1 {
		return s.clickTitle(m, msg.X)
	}
	row := s.offset + msg.Y - s.top
	if msg.Y < s.top || row >= s.length() || row >= s.offset+s.visible {
		return nil
	}
	s.paused = true
	if row == s.selected {
		s.reading = true
		return nil
	}
	s.selected = row
	return nil
}

// clickTitle begins a filter by a column. The server lists transfers in one order only, the newest
// first, so that a list of any length can be shown.
func (s *transfersScreen) clickTitle(m *shared, x int) tea.Cmd {
	column := s.drawn.ColumnAt(x)
	if column < 0 {
		return nil
	}
	title, _, _ := strings.Cut(s.drawn.Columns[column].Title, " ")
	key := map[string]string{"WHEN": "since:", "STATE": "state:", "KIND": "kind:", "AMOUNT": "amount:", "CUR": "currency:", "WITH": "with:"}[title]
	if key == "" {
		return nil
	}
	m.showToast("The server lists transfers by time only, the newest first.")
	s.openFilter(m)
	s.field.take(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(key)})
	s.checkFilter(m)
	return nil
}
