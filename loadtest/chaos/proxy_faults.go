package main

import "time"

type cut int

const (
	cutNone cut = iota
	cutBefore
	cutAfter
	cutAnswered
)

// throw decides what happens to a COMMIT.
func (p *proxy) throw() cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().After(p.armedTo) || p.dice.Float64() >= p.share {
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
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cutAll()
	p.handlers.Wait()
}
