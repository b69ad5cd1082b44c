package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

const (
	maxCallbacks     = 1024 // under way; more are dropped, as hints may be
	callbackTries    = 5
	callbackTimeout  = 5 * time.Second
	callbackFirstGap = 100 * time.Millisecond // doubles with every try
)

// postman brings callbacks. They are not durable: a restart forgets them, and
// Kizo finds out by Status or by the statement.
type postman struct {
	cfg    Config
	ctx    context.Context
	client *http.Client
	slots  chan struct{}
	gap    time.Duration

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

func newPostman(ctx context.Context, cfg Config) *postman {
	return &postman{
		cfg: cfg, ctx: ctx, slots: make(chan struct{}, maxCallbacks), gap: callbackFirstGap,
		client: &http.Client{
			Timeout: callbackTimeout,
			Transport: &http.Transport{
				MaxConnsPerHost: 16, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// announce sends one callback per delay, in the background.
func (p *postman) announce(e *Entry, delays []time.Duration) {
	body, err := json.Marshal(struct {
		EventID string `json:"event_id"`
		Entry
	}{eventID(p.cfg.Seed, e.Ref), *e})
	if err != nil {
		p.cfg.Log.Error("mock bank cannot write a callback", "error", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, delay := range delays {
		if p.closed {
			return
		}
		select {
		case p.slots <- struct{}{}:
			p.wg.Go(func() {
				defer func() { <-p.slots }()
				p.deliver(e.Ref, body, delay)
			})
		default:
			p.cfg.Log.Warn("mock bank drops a callback: too many under way", "ref", e.Ref)
		}
	}
}

// deliver tries a bounded number of times; any 2xx ends it.
func (p *postman) deliver(ref string, body []byte, delay time.Duration) {
	var err error
	gap := p.gap
	for try := range callbackTries {
		if try > 0 {
			delay, gap = gap, gap*2
		}
		if waitFor(p.ctx, delay) != nil {
			return
		}
		if err = p.send(body); err == nil {
			return
		}
	}
	p.cfg.Log.Warn("mock bank gives a callback up", slog.String("ref", ref), slog.Any("error", err))
}

func (p *postman) send(body []byte) error {
	req, err := http.NewRequestWithContext(p.ctx, http.MethodPost, p.cfg.CallbackURL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(bank.SignatureHeader, bank.SignCallback(body, []byte(p.cfg.CallbackSecret), p.cfg.Clock()))
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxBody) // so that the connection can be kept
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("callback answered with HTTP %d", resp.StatusCode)
	}
	return nil
}

// close waits for callbacks under way; the context they run on has ended.
func (p *postman) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.wg.Wait()
	p.client.CloseIdleConnections()
}

// eventID is the same for every delivery, so that a duplicate can be told.
func eventID(seed uint64, ref string) string {
	return fmt.Sprintf("evt-%016x", dice{seed: seed, ref: ref}.hash("event"))
}
