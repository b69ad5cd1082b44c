package listener

import (
	"net/netip"
	"sync"
)

// places are the connections that are open, and which of them may be closed for a new
// one. Every operation takes constant time.
type places struct {
	maxOrdinary, maxReserved, perAddress int // 0 is no limit, but for maxReserved

	mu           sync.Mutex
	open         int // without the restricted
	restricted   int
	idle         link // ring of the idle connections, the oldest first
	idleReserved link // the same of the restricted
	addresses    map[netip.Addr]*address
}

// address has the connections of one client address, without the restricted.
type address struct {
	key  netip.Addr
	open int
	idle link
}

// state of a connection.
type state int

const (
	idle state = iota
	busy
	gone // closed, or about to be
)

func newPlaces(maximum, reserved, perAddress int) *places {
	p := &places{perAddress: perAddress, addresses: make(map[netip.Addr]*address)}
	if maximum > 0 {
		p.maxReserved = min(reserved, maximum/2)
		p.maxOrdinary = maximum - p.maxReserved
	}
	return p
}

// admit gives a connection a place, perhaps that of a victim, which the caller closes.
func (p *places) admit(c *Conn, key netip.Addr, exempt bool) (victim *Conn, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.addresses[key]
	switch {
	case !exempt && p.perAddress > 0 && a != nil && a.open >= p.perAddress:
		victim = a.idle.first()
	case p.maxOrdinary > 0 && p.open >= p.maxOrdinary:
		victim = p.idle.first()
	default:
		p.addOrdinary(c, key)
		return nil, true
	}
	if victim != nil {
		p.remove(victim)
		p.addOrdinary(c, key)
		return victim, true
	}
	if p.restricted >= p.maxReserved {
		if victim = p.idleReserved.first(); victim == nil {
			return nil, false
		}
		p.remove(victim)
	}
	c.restricted = true
	p.restricted++
	p.idleReserved.pushBack(&c.all)
	return victim, true
}

func (p *places) addOrdinary(c *Conn, key netip.Addr) {
	a := p.addresses[key]
	if a == nil {
		a = &address{key: key}
		p.addresses[key] = a
	}
	c.address = a
	a.open++
	p.open++
	p.idle.pushBack(&c.all)
	a.idle.pushBack(&c.own)
}

// evictOldest removes the connection that has been idle for longest; nil if none is.
func (p *places) evictOldest() *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	oldest := p.idle.first()
	if oldest == nil {
		oldest = p.idleReserved.first()
	}
	if oldest != nil {
		p.remove(oldest)
	}
	return oldest
}

func (p *places) begin(c *Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.state == gone {
		return false
	}
	c.state = busy
	c.all.unlink()
	c.own.unlink()
	return true
}

func (p *places) end(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.state == busy {
		c.state = idle
		p.pushIdle(c)
	}
}

func (p *places) touch(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.state == idle {
		c.all.unlink()
		c.own.unlink()
		p.pushIdle(c)
	}
}

func (p *places) pushIdle(c *Conn) {
	if c.restricted {
		p.idleReserved.pushBack(&c.all)
		return
	}
	p.idle.pushBack(&c.all)
	c.address.idle.pushBack(&c.own)
}

// release reports whether the connection still had its place.
func (p *places) release(c *Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.state == gone {
		return false
	}
	p.remove(c)
	return true
}

// remove is called under the lock, once for each connection.
func (p *places) remove(c *Conn) {
	c.state = gone
	c.all.unlink()
	c.own.unlink()
	if c.restricted {
		p.restricted--
		return
	}
	p.open--
	if c.address.open--; c.address.open == 0 {
		delete(p.addresses, c.address.key)
	}
}

// link is a place in a ring, or with conn nil the ring itself: the list then begins at
// next. The zero value is an empty ring, and a link that is in none.
type link struct {
	previous, next *link
	conn           *Conn
}

func (root *link) pushBack(l *link) {
	if root.next == nil {
		root.previous, root.next = root, root
	}
	l.previous, l.next = root.previous, root
	root.previous.next = l
	root.previous = l
}

func (root *link) first() *Conn {
	if root.next == nil {
		return nil
	}
	return root.next.conn // nil is the ring's own
}

func (l *link) unlink() {
	if l.next == nil {
		return
	}
	l.previous.next, l.next.previous = l.next, l.previous
	l.previous, l.next = nil, nil
}
