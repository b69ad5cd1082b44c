package tui

import (
	"errors"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// connectionState says how the dashboard gets its data from the server.
type connectionState int

const (
	connecting connectionState = iota
	live
	polling
	lost // the stream ended a moment ago; polling is tried next
	offline
	loggedOut
)

// connection is the state of the connection to the server.
type connection struct {
	state      connectionState
	err        error
	receivedAt time.Time // when the server last answered or sent something
	again      time.Time // the time of the next attempt
}

// staleAfter is the silence after which shown data is marked as old. Operators receive a snapshot
// every second. Other users receive a heartbeat, and the stream ends if it is missing: for them, a
// live connection is enough.
const staleAfter = 5 * time.Second

// badge returns the state of the connection as a glyph and words, and whether the shown data is
// current.
func (m *shared) badge() (badge string, fresh bool) {
	c, old := &m.connection, age(m.now.Sub(m.connection.receivedAt))
	switch {
	case c.state == live && (m.me.Role != client.UserRoleOperator || m.ops.latest == nil || m.now.Sub(c.receivedAt) < staleAfter):
		return m.GoodBadge.Render(" " + m.glyph("●", "*") + " LIVE "), true
	case c.state == polling && m.now.Sub(c.receivedAt) < staleAfter:
		return m.WarnBadge.Render(" " + m.glyph("◐", "~") + " POLL "), true
	case c.state == live, c.state == polling, c.state == lost && !c.receivedAt.IsZero():
		return m.WarnBadge.Render(" " + m.glyph("◌", "~") + " STALE " + old + " "), false
	case c.state == loggedOut:
		return m.WarnBadge.Render(" " + m.glyph("○", "!") + " LOGGED OUT "), false
	case c.state == offline && c.receivedAt.IsZero():
		return m.BadBadge.Render(" " + m.glyph("○", "!") + " OFFLINE "), false
	case c.state == offline:
		return m.BadBadge.Render(" " + m.glyph("○", "!") + " OFFLINE " + old + " "), false
	}
	return m.WarnBadge.Render(" " + m.glyph("◌", "~") + " CONNECTING "), true
}

// connectionHelp says why the data is not current and when the dashboard reconnects, for the
// footer; empty while the data is current.
func (m *shared) connectionHelp() string {
	c := &m.connection
	if _, fresh := m.badge(); fresh {
		return ""
	}
	text, reason := "r asks again now: ", "the server is connected, but has sent nothing"
	switch c.state {
	case live:
	case polling:
		reason = "the server sends no events, and its last answer is old"
	case lost:
		text, reason = "Reconnecting, r now: ", "the server has closed the stream of events"
	case offline:
		text, reason = "r reconnects now: ", "the server does not answer"
		if wait := c.again.Sub(m.now); wait > 0 {
			text = "Reconnecting in " + age(wait+time.Second-1) + ", r now: "
		}
	case connecting, loggedOut:
		return ""
	}
	if c.err != nil && c.state != live {
		reason = draw.Text(c.err.Error())
	}
	return text + reason
}

func asRefusal(err error) (*client.Error, bool) {
	return errors.AsType[*client.Error](err)
}
