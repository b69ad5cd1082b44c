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

	"github.com/JDevAman/kizo/server/ledger"
)

// wire is a proxy between the ledger and PostgreSQL that understands enough of
// the protocol (PostgreSQL manual, 55.7 message formats) to see a COMMIT pass.
//
//	ledger ══ net.Pipe ══ wire ══ unix socket ══ PostgreSQL
//	               ╳ cut here, at the COMMIT
type wire struct {
	t testing.TB

	mu      sync.Mutex
	fault   fault
	away    bool // nobody gets through any more
	conns   map[*wired]bool
	release chan struct{} // closed: the COMMIT that was held back may go on
	stopped sync.WaitGroup
	cuts    int
}

// fault is what happens to one COMMIT, the next.
type fault int

const (
	sound         fault = iota
	cutBefore           // it never reaches the server
	cutAfter            // it does, and the answer is lost
	cutLate             // it does, long after the ledger has heard that the connection is gone
	awayBefore          // as cutBefore, and then the database stays away
	awayAfter           // as cutAfter, and so on
	awayAtReading       // already the batch's first statement is lost
)

type wired struct {
	wire           *wire
	client, server net.Conn
	names          map[string]string // prepared statements
	mute           bool              // what the server says is lost
	ready          chan struct{}     // the server has finished what was sent while mute
	release        chan struct{}
}

// through is a ledger whose every byte goes through a wire.
func (h *fixture) through(config ledger.Config) (*ledger.Ledger, *wire) {
	h.t.Helper()
	w := &wire{t: h.t, conns: map[*wired]bool{}, release: make(chan struct{})}
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
		return w.connect(server)
	}
	if config.Pool, err = pgxpool.NewWithConfig(h.t.Context(), pool); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		config.Pool.Close()
		w.stopped.Wait()
	})
	return h.another(config), w
}

// letGo lets a COMMIT that was held back reach the server.
func (w *wire) letGo() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.release)
}

func (w *wire) arm(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.cuts, w.release = f, 0, make(chan struct{})
}

// cut tells how many COMMITs were met.
func (w *wire) cut() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cuts
}

// back ends an absence.
func (w *wire) back() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = false
}

func (w *wire) connect(server net.Conn) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		server.Close()
		return nil, errors.New("the wire is cut")
	}
	ours, client := net.Pipe()
	c := &wired{wire: w, client: ours, server: server, names: map[string]string{}, ready: make(chan struct{}, 1)}
	w.conns[c] = true
	w.stopped.Go(func() { c.frontend(); c.end() })
	w.stopped.Go(func() { c.backend(); c.end() })
	return client, nil
}

func (c *wired) close() {
	c.client.Close()
	c.server.Close()
}

func (c *wired) end() {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	delete(c.wire.conns, c)
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

// frontend passes on what the ledger says, until a COMMIT meets a fault.
func (c *wired) frontend() {
	_, start, err := message(c.client, false)
	if err == nil {
		_, err = c.server.Write(start)
	}
	for err == nil {
		err = c.one()
	}
}

func (c *wired) one() error {
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
		if f := c.meets(c.names[string(name)]); f != sound {
			return c.fail(f, whole)
		}
	}
	_, err = c.server.Write(whole)
	return err
}

// meets takes the fault that is armed, if this is what it is for.
func (c *wired) meets(statement string) fault {
	at := "COMMIT"
	w := c.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.fault
	if f == awayAtReading {
		at = "BEGIN"
	}
	if f == sound || !strings.HasPrefix(statement, at) {
		return sound
	}
	w.fault, c.release = sound, w.release
	w.cuts++
	c.mute = f == cutAfter || f == cutLate || f == awayAfter
	if w.away = f >= awayBefore; w.away {
		for other := range w.conns {
			if other != c {
				other.close()
			}
		}
	}
	return f
}

// fail carries out a fault at the COMMIT that bind begins, and ends the connection.
func (c *wired) fail(f fault, bind []byte) error {
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
	if f == cutLate {
		c.client.Close()
		<-c.release
	}
	if _, err := c.server.Write(rest); err != nil {
		return err
	}
	<-c.ready
	return io.EOF
}

// backend passes on what the server says.
func (c *wired) backend() {
	defer close(c.ready)
	for {
		kind, whole, err := message(c.server, true)
		if err != nil {
			return
		}
		if c.muted() {
			if kind == 'Z' && whole[5] == 'I' { // ready, and idle: it has committed
				c.ready <- struct{}{}
			}
			continue
		}
		if _, err := c.client.Write(whole); err != nil {
			return
		}
	}
}

func (c *wired) muted() bool {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	return c.mute
}
