package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// proxy forwards the connections of kizod to PostgreSQL, and knows enough of the protocol to
// recognize a COMMIT.
//
//	kizod ─► TCP ─► proxy ─► unix socket ─► PostgreSQL
//	                  ├─ cutAll: closes every connection
//	                  ├─ arm:    for a while, cuts a share of the COMMITs
//	                  │            before   the COMMIT never arrives
//	                  │            after    it arrives, and the connection is closed at once
//	                  │            answered it succeeds, and its answer is discarded
//	                  └─ stall:  forwards nothing for a while
type proxy struct {
	listener net.Listener
	target   atomic.Pointer[string] // path of PostgreSQL's socket

	mu       sync.Mutex
	links    map[*link]bool
	dice     *rand.Rand
	share    float64 // of COMMITs that are cut
	armedTo  time.Time
	stalled  chan struct{} // closed when traffic may pass
	closed   bool
	commits  int // COMMITs that were cut
	handlers sync.WaitGroup
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	mute           atomic.Bool // the server's answers are discarded up to that of the COMMIT, then the link is closed
	statements     map[string]bool
	bound          bool // the portal that is executed next is a COMMIT
}

func startProxy(seed uint64) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by close
	if err != nil {
		return nil, fmt.Errorf("listen for the proxy: %w", err)
	}
	open := make(chan struct{})
	close(open)
	p := &proxy{
		listener: listener, links: make(map[*link]bool), stalled: open,
		dice: rand.New(rand.NewPCG(seed, 0xc077)), //nolint:gosec // a seed repeats it
	}
	p.handlers.Go(p.accept)
	return p, nil
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port } //nolint:forcetypeassert // we listen on tcp

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.handlers.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	target := p.target.Load()
	if target == nil {
		return
	}
	server, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(context.Background(), "unix", *target)
	if err != nil {
		return // PostgreSQL is down: kizod gets a closed connection
	}
	defer server.Close()
	l := &link{client: client, server: server, statements: make(map[string]bool)}
	if !p.add(l) {
		return
	}
	defer p.remove(l)
	var back sync.WaitGroup
	back.Go(func() {
		defer l.cut()
		p.answers(l)
	})
	_ = p.requests(l) // the end of a connection is expected
	if l.mute.Load() {
		// The server has the COMMIT. Its answer ends the link, or this timeout does.
		_ = server.SetReadDeadline(time.Now().Add(2 * time.Second))
	} else {
		l.cut()
	}
	back.Wait()
}

func (l *link) cut() {
	_ = l.client.Close()
	_ = l.server.Close()
}

func (p *proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.links[l] = true
	}
	return !p.closed
}

func (p *proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

func (p *proxy) wait() {
	p.mu.Lock()
	open := p.stalled
	p.mu.Unlock()
	<-open
}

// maxMessage is the largest message that is accepted; those of kizod are far smaller.
const maxMessage = 64 << 20

// requests forwards the messages of the client.
func (p *proxy) requests(l *link) error {
	if err := p.startup(l); err != nil {
		return err
	}
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(l.client, head); err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(head[1:])
		if size < 4 || size > maxMessage {
			return errors.New("no message of PostgreSQL's")
		}
		message := make([]byte, 1+size)
		copy(message, head)
		if _, err := io.ReadFull(l.client, message[5:]); err != nil {
			return err
		}
		p.wait()
		if l.commits(message) {
			switch p.throw() {
			case cutBefore:
				return errors.New("cut before the COMMIT")
			case cutAfter:
				_, err := l.server.Write(slices.Concat(message, syncMessage))
				return errors.Join(err, errors.New("cut after the COMMIT"))
			case cutAnswered:
				l.mute.Store(true)
				_, err := l.server.Write(slices.Concat(message, syncMessage))
				return errors.Join(err, errors.New("cut after the COMMIT's answer"))
			case cutNone:
			}
		}
		if _, err := l.server.Write(message); err != nil {
			return err
		}
	}
}

var syncMessage = []byte{'S', 0, 0, 0, 4}

// startup forwards the first message, which has no type. There is no request for encryption,
// because the URL contains sslmode=disable.
func (p *proxy) startup(l *link) error {
	head := make([]byte, 4)
	if _, err := io.ReadFull(l.client, head); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head)
	if size < 8 || size > 64<<10 {
		return errors.New("no start of a PostgreSQL connection")
	}
	message := make([]byte, size)
	copy(message, head)
	if _, err := io.ReadFull(l.client, message[4:]); err != nil {
		return err
	}
	_, err := l.server.Write(message)
	return err
}

// commits reports whether the message makes the server commit: a simple query, or the
// execution of a statement that was parsed as COMMIT.
func (l *link) commits(message []byte) bool {
	body := message[5:]
	switch message[0] {
	case 'Q':
		return isCommit(text(body))
	case 'P':
		name := text(body)
		l.statements[name] = isCommit(text(body[len(name)+1:]))
	case 'B':
		portal := text(body)
		l.bound = l.statements[text(body[len(portal)+1:])]
	case 'E':
		return l.bound
	}
	return false
}

func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func isCommit(sql string) bool { return strings.EqualFold(strings.TrimSpace(sql), "commit") }

// answers forwards the messages of the server, unless they are discarded.
func (p *proxy) answers(l *link) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := l.server.Read(buffer)
		if l.mute.Load() {
			if err != nil || strings.Contains(string(buffer[:n]), "COMMIT\x00") {
				return
			}
			continue
		}
		if n > 0 {
			p.wait()
			if _, err := l.client.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
