package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// inboxServer has an inbox of two pages, and records what is read.
type inboxServer struct {
	wholeServer
	read []string
}

func (*inboxServer) Notices(_ context.Context, params client.ListNoticesParams) (client.NoticeList, error) {
	page := client.NoticeList{Unread: 2, Items: someNotices()}
	if params.Cursor == nil {
		page.NextCursor = ptr("next")
		return page, nil
	}
	page.Items = []client.Notice{{Id: 1, At: noon.Add(-48 * time.Hour), Kind: "key_created", Title: "An API key was created", Advice: "Then.", Read: true}}
	return page, nil
}

func (*inboxServer) Server() string { return "http://127.0.0.1:7420" }

func (s *inboxServer) ReadNotices(_ context.Context, ids []int64) (client.NoticesMarked, error) {
	s.read = append(s.read, fmt.Sprint(ids))
	return client.NoticesMarked{Found: len(ids), Unread: 2 - len(ids)}, nil
}

func someNotices() []client.Notice {
	const advice = "If this was not you: kizo freeze-me --yes stops all money at once. Then kizo sessions revoke --others, kizo password change."
	return []client.Notice{
		{Id: 4, At: noon.Add(-time.Minute), Kind: "new_device", Title: "A new device signed in to your account", Advice: advice, Client: ptr("kizo/1.0 \x1b[2J evil"), Address: ptr("203.0.113.9")},
		{Id: 3, At: noon.Add(-time.Hour), Kind: "first_payment", Title: "First payment to @bob: 12.50 USD", Advice: advice},
		{Id: 2, At: noon.Add(-24 * time.Hour), Kind: "frozen", Title: "Your account was frozen: no money moves from or to it", Advice: "Only an operator lifts it.", Read: true},
	}
}

// TestNoticesAreRead: the keys of the inbox mark one notice or all that were shown, and none if the
// dashboard is read-only; the end of the list loads the next page once.
func TestNoticesAreRead(t *testing.T) {
	for _, test := range []struct {
		name, readonly string
		keys           []string
		want           string
		unread, listed int
	}{
		{"one", "", []string{"down", "enter"}, "[3]", 1, 3},
		{"a read one", "", []string{"down", "down", "enter"}, "", 2, 4},
		{"all", "", []string{"a"}, "[4 3]", 0, 3},
		{"all, once", "", []string{"a", "a", "enter"}, "[4 3]", 0, 3},
		{"the end", "", []string{"down", "down", "down", "down", "down"}, "", 2, 4},
		{"read-only", "it is", []string{"a", "enter"}, "", 2, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, server := operatorModel(t), &inboxServer{}
			m.server, m.readonly = server, test.readonly
			first := openNotices(m)()
			s := m.overlay.(*noticesScreen)
			s.update(m, first)
			for _, key := range test.keys {
				if asked := press(m, s, key); asked != nil {
					s.update(m, asked())
				}
			}
			testkit.Equal(t, "read", strings.Join(server.read, " "), test.want)
			testkit.Equal(t, "unread and listed", fmt.Sprint(m.unread, len(s.list)), fmt.Sprint(test.unread, test.listed))
		})
	}
}

// TestNoticesAreShown draws the inbox: unread notices, the selected one whole, with a client that
// has a hostile name; an empty inbox; and a failure.
func TestNoticesAreShown(t *testing.T) {
	m := operatorModel(t)
	s := &noticesScreen{}
	s.update(m, noticesMsg{screen: s, page: client.NoticeList{Items: someNotices(), Unread: 2}})
	testkit.Equal(t, "in the header", m.unreadNote(), " · ✉ 2 unread (I)")
	golden(t, "notices", s.view(m, 80, 24))
	empty := &noticesScreen{}
	empty.update(m, noticesMsg{screen: s, page: client.NoticeList{Items: someNotices()}}) // of another screen
	testkit.Equal(t, "notices of another screen", len(empty.list), 0)
	empty.update(m, noticesMsg{screen: empty})
	golden(t, "notices-none", empty.view(m, 80, 24))
	testkit.Equal(t, "in the header", m.unreadNote(), "")
	empty.update(m, noticesMsg{screen: empty, err: errors.New("the server is away")})
	testkit.Contains(t, empty.view(m, 80, 24), "the server is away")
}

// TestUnreadNoticesAreCounted: the header shows how many notices are unread, the count is asked
// for again after a pause, and never with an API key, which may not know.
func TestUnreadNoticesAreCounted(t *testing.T) {
	m := operatorDashboard(t, 160, 40)
	m.server = &inboxServer{}
	asked := m.unreadTick()
	if asked == nil {
		t.Fatal("the first tick asks for no count")
	}
	if m.unreadTick() != nil {
		t.Error("the next second asks again")
	}
	m.Update(asked())
	testkit.Contains(t, m.View(), "2 unread (I)")
	m.now = m.now.Add(noticesPause)
	if m.unreadTick() == nil {
		t.Error("the count is not asked for again")
	}
	m.now = m.now.Add(noticesPause)
	m.takeUnread(unreadMsg{err: &client.Error{Code: client.Forbidden}})
	if m.unreadTick() != nil {
		t.Error("a request that is forbidden is repeated")
	}
	m.setUser(client.User{Handle: "bob", Id: *taskNumber(1).TransferId})
	testkit.Equal(t, "unread of another user", m.unread, 0)
	m.Update(keyMsg("I"))
	if _, shown := m.overlay.(*noticesScreen); !shown {
		t.Errorf("I shows %T", m.overlay)
	}
}
