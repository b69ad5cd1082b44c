package ledger_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

// commitProxy is a proxy between the ledger and PostgreSQL. It understands enough of the protocol
// (PostgreSQL manual, 55.7 message formats) to recognize a COMMIT.
//
//	ledger ══ net.Pipe ══ commitProxy ══ unix socket ══ PostgreSQL
//	               ╳ closed here, at the COMMIT
type commitProxy struct {
	t testing.TB

	mu      sync.Mutex
	fault   fault
	down    bool // every connection fails
	conns   map[*proxiedConn]bool
	release chan struct{} // closed when a delayed COMMIT may be sent to the server
	stopped sync.WaitGroup
	faults  int // that have happened since arm
}

// fault is what happens to the next COMMIT.
type fault int

const (
	noFault        fault = iota
	cutBefore            // the connection ends before the COMMIT reaches the server
	cutAfter             // the server executes the COMMIT, and its answer is lost
	cutLate              // the server executes the COMMIT long after the ledger has lost the connection
	cutLateAtBegin       // as cutLate, and the statements before it too
	downBefore           // as cutBefore, and then the database stays unavailable
	downAfter            // as cutAfter, and then the database stays unavailable
	downAtBegin          // the first statement of the batch is lost, and the database stays unavailable
)

type proxiedConn struct {
	proxy          *commitProxy
	client, server net.Conn
	names          map[string]string // prepared statements
	mute           bool              // the answers of the server are dropped
	ready          chan struct{}     // the server has executed what was sent while mute is set
	release        chan struct{}
}

// throughProxy returns a ledger whose connections all go through a commitProxy.
func (h *fixture) throughProxy(config ledger.Config) (*ledger.Ledger, *commitProxy) {
	h.t.Helper()
	p := &commitProxy{t: h.t, conns: map[*proxiedConn]bool{}, release: make(chan struct{})}
	pool, err := pgxpool.ParseConfig(h.db.AppURL)
	if err != nil {
		h.t.Fatal(err)
	}
	dial := pool.ConnConfig.DialFunc
	pool.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		server, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return p.connect(server)
	}
	if config.Pool, err = pgxpool.NewWithConfig(h.t.Context(), pool); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		config.Pool.Close()
		p.stopped.Wait()
	})
	return h.another(config), p
}

// sendDelayed lets the delayed COMMIT of cutLate reach the server.
func (p *commitProxy) sendDelayed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.release)
}

// untilEnded returns when the server has executed what was delayed.
func (p *commitProxy) untilEnded() {
	testkit.Eventually(p.t, "the delayed statements are executed", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for c := range p.conns {
			if c.mute {
				return false
			}
		}
		return true
	})
}

// arm sets the fault of the next COMMIT.
func (p *commitProxy) arm(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.faults, p.release = f, 0, make(chan struct{})
}

// faultCount returns how many faults have happened since arm.
func (p *commitProxy) faultCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}

// restore makes the database available again.
func (p *commitProxy) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

func (p *commitProxy) connect(server net.Conn) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		server.Close()
		return nil, errors.New("the database is unavailable")
	}
	ours, client := net.Pipe()
	c := &proxiedConn{proxy: p, client: ours, server: server, names: map[string]string{}, ready: make(chan struct{}, 1)}
	p.conns[c] = true
	p.stopped.Go(func() { c.frontend(); c.end() })
	p.stopped.Go(func() { c.backend(); c.end() })
	return client, nil
}

func (c *proxiedConn) close() {
	c.client.Close()
	c.server.Close()
}

func (c *proxiedConn) end() {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	delete(c.proxy.conns, c)
	if !c.mute {
		c.close()
	}
}

// message reads one message; the first of a connection has no type.
func message(r io.Reader, typed bool) (kind byte, whole []byte, err error) {
	head := make([]byte, 5)
	if !typed {
		head = head[:4]
	}
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[len(head)-4:])
	whole = make([]byte, len(head)+int(size)-4)
	copy(whole, head)
	_, err = io.ReadFull(r, whole[len(head):])
	return head[0], whole, err
}

// frontend forwards the messages of the ledger until a fault happens.
func (c *proxiedConn) frontend() {
	_, start, err := message(c.client, false)
	if err == nil {
		_, err = c.server.Write(start)
	}
	for err == nil {
		err = c.forward()
	}
}

// forward forwards one message of the ledger.
func (c *proxiedConn) forward() error {
	kind, whole, err := message(c.client, true)
	if err != nil {
		return err
	}
	body := whole[5:]
	switch kind {
	case 'P': // Parse: name, query
		name, query, _ := bytes.Cut(body, []byte{0})
		query, _, _ = bytes.Cut(query, []byte{0})
		c.names[string(name)] = string(query)
	case 'B': // Bind: portal, name
		_, name, _ := bytes.Cut(body, []byte{0})
		name, _, _ = bytes.Cut(name, []byte{0})
		if f := c.takeFault(c.names[string(name)]); f != noFault {
			return c.fail(f, whole)
		}
	}
	_, err = c.server.Write(whole)
	return err
}

// takeFault returns the armed fault if it happens at this statement, and disarms it.
func (c *proxiedConn) takeFault(statement string) fault {
	at := "COMMIT"
	p := c.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.fault
	if f == downAtBegin || f == cutLateAtBegin {
		at = "BEGIN"
	}
	if f == noFault || !strings.HasPrefix(statement, at) {
		return noFault
	}
	p.fault, c.release = noFault, p.release
	p.faults++
	c.mute = f == cutAfter || f == cutLate || f == cutLateAtBegin || f == downAfter
	if p.down = f >= downBefore; p.down {
		for other := range p.conns {
			if other != c {
				other.close()
			}
		}
	}
	return f
}

// fail executes a fault at the statement that bind begins, and ends the connection.
func (c *proxiedConn) fail(f fault, bind []byte) error {
	defer c.server.Close()
	defer c.client.Close()
	if !c.mute {
		return io.EOF
	}
	rest := bind
	for kind := byte(0); kind != 'S'; { // up to the Sync
		var whole []byte
		var err error
		if kind, whole, err = message(c.client, true); err != nil {
			return err
		}
		rest = append(rest, whole...)
	}
	if f == cutLate || f == cutLateAtBegin {
		c.client.Close()
		<-c.release
	}
	if _, err := c.server.Write(rest); err != nil {
		return err
	}
	<-c.ready
	return io.EOF
}

// backend forwards the messages of the server.
func (c *proxiedConn) backend() {
	defer close(c.ready)
	for {
		kind, whole, err := message(c.server, true)
		if err != nil {
			return
		}
		if c.muted() {
			if kind == 'Z' { // ready: it has committed, or rejected the statements
				c.ready <- struct{}{}
			}
			continue
		}
		if _, err := c.client.Write(whole); err != nil {
			return
		}
	}
}

func (c *proxiedConn) muted() bool {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	return c.mute
}
