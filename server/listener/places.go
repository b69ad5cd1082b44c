package listener

import (
	"net/netip"
	"sync"
)

// places tracks the open connections, and which of them may be closed to make space for
// a new one. Every operation takes constant time.
type places struct {
	maxOrdinary, maxReserved, perAddress int // 0 is no limit, except for maxReserved

	mu           sync.Mutex
	open         int // not counting restricted connections
	restricted   int
	idle         link // ring of idle connections, the oldest first
	idleReserved link // ring of idle restricted connections, the oldest first
	addresses    map[netip.Addr]*address
}

// address counts the connections of one client address, except restricted ones.
type address struct {
	key  netip.Addr
	open int
	idle link
}

// state is the state of a connection.
type state int

const (
	idle state = iota
	busy
	closed // or about to be closed
)

func newPlaces(maximum, reserved, perAddress int) *places {
	p := &places{perAddress: perAddress, addresses: make(map[netip.Addr]*address)}
	if maximum > 0 {
		p.maxReserved = min(reserved, maximum/2)
		p.maxOrdinary = maximum - p.maxReserved
	}
	return p
}

// admit gives a connection a place. If it takes the place of a victim, the caller closes
// the victim.
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

// evictOldest removes and returns the connection that has been idle for the longest
// time; nil if no connection is idle.
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
	if c.state == closed {
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

// release frees the place of a connection. It reports false if the place was
// already released.
func (p *places) release(c *Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.state == closed {
		return false
	}
	p.remove(c)
	return true
}

// remove frees the place of a connection. It is called once for each connection, with
// mu held.
func (p *places) remove(c *Conn) {
	c.state = closed
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

// link is an element of a ring. A link whose conn is nil is the root of a ring, whose
// first element is next. The zero value is an empty ring, or an element of no ring.
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
	return root.next.conn // nil if next is the root itself
}

func (l *link) unlink() {
	if l.next == nil {
		return
	}
	l.previous.next, l.next.previous = l.next, l.previous
	l.previous, l.next = nil, nil
}
