package tui

import (
	"errors"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// line is how the server can be had.
type connectionState int

const (
	connecting connectionState = iota
	live
	polling
	lost // a moment ago; what can be had instead is being tried
	offline
	loggedOut
)

// connection is what is known of the line.
type connection struct {
	state      connectionState
	err        error
	receivedAt time.Time // when the server last said anything
	again      time.Time // when it is tried again
}

// staleAfter is the silence after which what is shown is called old. Operators hear something every second, others a heartbeat
// that ends the stream when it is missing: for them, live is what the line says.
const staleAfter = 5 * time.Second

// badge is the state of the line as glyph and words, and whether what is shown is still true.
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

// trouble is what to do about a line that is down, for the footer; empty if it is up.
func (m *shared) connectionHelp() string {
	c := &m.connection
	if c.state != offline || c.err == nil {
		return ""
	}
	text := "r tries now: "
	if wait := c.again.Sub(m.now); wait > 0 {
		text = "Trying again in " + age(wait+time.Second-1) + ", r now: "
	}
	return text + draw.Text(c.err.Error())
}

func asRefusal(err error) (*client.Error, bool) {
	var refused *client.Error
	ok := errors.As(err, &refused)
	return refused, ok
}
