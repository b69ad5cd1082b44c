package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// proxy forwards the connections of kizod to PostgreSQL, and recognizes a COMMIT.
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

	mu      sync.Mutex
	links   map[*link]bool
	dice    *rand.Rand
	share   float64 // of COMMITs that are cut
	armedTo time.Time
	stalled chan struct{} // closed when traffic may pass
	commits int           // COMMITs that were cut
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	mute           atomic.Bool // the server's answers are discarded up to that of the COMMIT, then the link is closed
	statements     map[string]bool
	bound          bool // the portal that is executed next is a COMMIT
}

// listen serves each connection to a new loopback address, until the listener is closed.
func listen(serve func(net.Conn)) (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by the caller
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return listener, nil
}

func startProxy(seed uint64) (p *proxy, err error) {
	p = &proxy{
		links: make(map[*link]bool), stalled: make(chan struct{}),
		dice: rand.New(rand.NewPCG(seed, 0xc077)), //nolint:gosec // a seed repeats it
	}
	close(p.stalled)
	p.listener, err = listen(p.serve)
	return p, err
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port } //nolint:forcetypeassert // we listen on tcp

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
	p.keep(l, true)
	defer p.keep(l, false)
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

// keep adds a link to those that cutAll cuts, or removes it.
func (p *proxy) keep(l *link, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.links[l] = true
	} else {
		delete(p.links, l)
	}
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
	client, server := pgproto3.NewBackend(l.client, l.client), pgproto3.NewFrontend(l.server, l.server)
	client.SetMaxBodyLen(maxMessage)
	start, err := client.ReceiveStartupMessage()
	if err != nil {
		return err
	}
	server.Send(start)
	for {
		if err := server.Flush(); err != nil {
			return err
		}
		message, err := client.Receive()
		if err != nil {
			return err
		}
		p.wait()
		switch cut := p.throw(l.commits(message)); cut {
		case cutNone:
			server.Send(message)
		case cutBefore:
			return errCut
		case cutAfter, cutAnswered:
			l.mute.Store(cut == cutAnswered)
			server.Send(message)
			server.Send(&pgproto3.Sync{})
			return errors.Join(server.Flush(), errCut)
		}
	}
}

var errCut = errors.New("cut at a COMMIT")

// commits reports whether the message makes the server commit: a simple query, or
// execution of a statement that was parsed as COMMIT.
func (l *link) commits(message pgproto3.FrontendMessage) bool {
	switch m := message.(type) {
	case *pgproto3.Query:
		return isCommit(m.String)
	case *pgproto3.Parse:
		l.statements[m.Name] = isCommit(m.Query)
	case *pgproto3.Bind:
		l.bound = l.statements[m.PreparedStatement]
	case *pgproto3.Execute:
		return l.bound
	}
	return false
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

type cut int

const (
	cutNone cut = iota
	cutBefore
	cutAfter
	cutAnswered
)

// throw decides what happens to a message, which may be a COMMIT.
func (p *proxy) throw(commit bool) cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !commit || time.Now().After(p.armedTo) || p.dice.Float64() >= p.share {
		return cutNone
	}
	p.commits++
	return cutBefore + cut(p.dice.IntN(3))
}

// arm cuts a share of the COMMITs until a time.
func (p *proxy) arm(share float64, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share, p.armedTo = share, until
}

// cutAll closes every connection.
func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut()
	}
}

// stall forwards nothing until the caller calls the function that it returns.
func (p *proxy) stall() (resume func()) {
	gate := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.stalled:
		p.stalled = gate
		return func() { close(gate) }
	default: // the proxy is stalled already
		return func() {}
	}
}

// aim points the proxy at a socket of PostgreSQL.
func (p *proxy) aim(socket string) { p.target.Store(&socket) }

func (p *proxy) cutCommits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.commits
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.cutAll()
}
