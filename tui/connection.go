package tui

import (
	"errors"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// line is how the server can be had.
type line int

const (
	connecting line = iota
	live
	polling
	lost // a moment ago; what can be had instead is being tried
	offline
	loggedOut
)

// connection is what is known of the line.
type connection struct {
	line  line
	err   error
	heard time.Time // when the server last said anything
	again time.Time // when it is tried again
}

// staleAfter is the silence after which what is shown is called old. Operators hear something every second, others a heartbeat
// that ends the stream when it is missing: for them, live is what the line says.
const staleAfter = 5 * time.Second

// badge is the state of the line as glyph and words, and whether what is shown is still true.
func (m *shared) badge() (badge string, fresh bool) {
	c, old := &m.connection, age(m.now.Sub(m.connection.heard))
	switch {
	case c.line == live && (m.me.Role != client.UserRoleOperator || m.ops.latest == nil || m.now.Sub(c.heard) < staleAfter):
		return m.GoodBadge.Render(" " + m.glyph("●", "*") + " LIVE "), true
	case c.line == polling && m.now.Sub(c.heard) < staleAfter:
		return m.WarnBadge.Render(" " + m.glyph("◐", "~") + " POLL "), true
	case c.line == live, c.line == polling, c.line == lost && !c.heard.IsZero():
		return m.WarnBadge.Render(" " + m.glyph("◌", "~") + " STALE " + old + " "), false
	case c.line == loggedOut:
		return m.WarnBadge.Render(" " + m.glyph("○", "!") + " LOGGED OUT "), false
	case c.line == offline && c.heard.IsZero():
		return m.BadBadge.Render(" " + m.glyph("○", "!") + " OFFLINE "), false
	case c.line == offline:
		return m.BadBadge.Render(" " + m.glyph("○", "!") + " OFFLINE " + old + " "), false
	}
	return m.WarnBadge.Render(" " + m.glyph("◌", "~") + " CONNECTING "), true
}

// trouble is what to do about a line that is down, for the footer; empty if it is up.
func (m *shared) trouble() string {
	c := &m.connection
	if c.line != offline || c.err == nil {
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
