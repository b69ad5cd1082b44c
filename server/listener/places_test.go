package listener

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model does what places does, by searching a list of all connections.
type model struct {
	ordinary, reserved, perAddress int
	conns                          []*entry
}

type entry struct {
	conn             *Conn
	key              netip.Addr
	busy, restricted bool
	since            int
}

func (m *model) oldest(ok func(*entry) bool) *entry {
	var found *entry
	for _, e := range m.conns {
		if !e.busy && ok(e) && (found == nil || e.since < found.since) {
			found = e
		}
	}
	return found
}

func (m *model) count(ok func(*entry) bool) (n int) {
	for _, e := range m.conns {
		if ok(e) {
			n++
		}
	}
	return n
}

// admit returns the victim, and whether the connection is restricted or admitted at all.
func (m *model) admit(key netip.Addr) (victim *entry, restricted, ok bool) {
	ofAddress := func(e *entry) bool { return e.key == key && !e.restricted }
	ordinary := func(e *entry) bool { return !e.restricted }
	switch {
	case m.count(ofAddress) >= m.perAddress:
		victim = m.oldest(ofAddress)
	case m.count(ordinary) >= m.ordinary:
		victim = m.oldest(ordinary)
	default:
		return nil, false, true
	}
	if victim != nil {
		return victim, false, true
	}
	reserved := func(e *entry) bool { return e.restricted }
	if m.count(reserved) < m.reserved {
		return nil, true, true
	}
	victim = m.oldest(reserved)
	return victim, true, victim != nil
}

func TestPlacesFollowTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := newPlaces(8, 3, 3)
		m := &model{ordinary: 5, reserved: 3, perAddress: 3}
		for now := range rapid.IntRange(1, 120).Draw(t, "steps") {
			var e *entry
			if len(m.conns) > 0 {
				e = m.conns[rapid.IntRange(0, len(m.conns)-1).Draw(t, "connection")]
			}
			switch step := rapid.SampledFrom([]string{"admit", "admit", "admit", "begin", "begin", "end", "touch", "release"}).Draw(t, "step"); {
			case step == "admit" || e == nil:
				m.checkAdmit(t, p, now)
			case step == "begin":
				if !p.begin(e.conn) {
					t.Fatal("an open connection may not begin")
				}
				e.busy = true
			case step == "end" && e.busy:
				p.end(e.conn)
				e.busy, e.since = false, now
			case step == "touch":
				p.touch(e.conn)
				e.since = now
			case step == "release":
				if !p.release(e.conn) {
					t.Fatal("an open connection had no place")
				}
				m.drop(t, p, e)
			}
		}
		if want := m.count(func(e *entry) bool { return !e.restricted }); p.open != want || p.restricted != len(m.conns)-want {
			t.Fatalf("%d and %d are open, want %d of %d", p.open, p.restricted, want, len(m.conns))
		}
		for len(m.conns) > 0 {
			p.release(m.conns[0].conn)
			m.drop(t, p, m.conns[0])
		}
		if p.open != 0 || p.restricted != 0 || len(p.addresses) != 0 || p.idle.first() != nil || p.idleReserved.first() != nil {
			t.Fatalf("not all connections were removed: %+v", p)
		}
	})
}

func (m *model) checkAdmit(t *rapid.T, p *places, now int) {
	key := netip.AddrFrom4([4]byte{127, 0, 0, byte(rapid.IntRange(1, 4).Draw(t, "address"))})
	c := &Conn{}
	c.all.conn, c.own.conn = c, c
	victim, ok := p.admit(c, key, false)
	wantVictim, restricted, wantOK := m.admit(key)
	if (victim == nil) != (wantVictim == nil) || victim != nil && victim != wantVictim.conn || ok != wantOK || ok && c.restricted != restricted {
		t.Fatalf("admitted: %v, restricted %v, a victim %v; want %v, %v, %v", ok, c.restricted, victim != nil, wantOK, restricted, wantVictim != nil)
	}
	if wantVictim != nil {
		m.drop(t, p, wantVictim)
	}
	if ok {
		m.conns = append(m.conns, &entry{conn: c, key: key, restricted: restricted, since: now})
	}
}

// drop removes a connection, which can neither begin nor be released any more.
func (m *model) drop(t *rapid.T, p *places, e *entry) {
	m.conns = slices.DeleteFunc(m.conns, func(other *entry) bool { return other == e })
	if p.begin(e.conn) || p.release(e.conn) {
		t.Fatal("a closed connection has a place")
	}
	p.end(e.conn)
	p.touch(e.conn)
}
