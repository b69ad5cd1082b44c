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
	maxCallbacks         = 1024 // in progress; more are dropped, because callbacks may be lost
	callbackAttempts     = 5
	callbackTimeout      = 5 * time.Second
	callbackFirstBackoff = 100 * time.Millisecond // doubles with each attempt
)

// callbackSender sends callbacks in the background. They are not durable: after a restart they
// are lost, and Kizo learns the outcome from Status or the statement.
type callbackSender struct {
	cfg     Config
	ctx     context.Context
	client  *http.Client
	slots   chan struct{}
	backoff time.Duration

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

func newCallbackSender(ctx context.Context, cfg Config) *callbackSender {
	return &callbackSender{
		cfg: cfg, ctx: ctx, slots: make(chan struct{}, maxCallbacks), backoff: callbackFirstBackoff,
		client: &http.Client{
			Timeout: callbackTimeout,
			Transport: &http.Transport{
				MaxConnsPerHost: 16, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// enqueue sends one callback for each delay, in the background.
func (p *callbackSender) enqueue(e *Entry, delays []time.Duration) {
	body, err := json.Marshal(struct {
		EventID string `json:"event_id"`
		Entry
	}{eventID(p.cfg.Seed, e.Ref), *e})
	if err != nil {
		p.cfg.Log.Error("mock bank cannot encode a callback", "error", err)
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
			p.cfg.Log.Warn("mock bank drops a callback: too many in progress", "ref", e.Ref)
		}
	}
}

// deliver makes up to callbackAttempts attempts, until the receiver answers 2xx.
func (p *callbackSender) deliver(ref string, body []byte, delay time.Duration) {
	var err error
	backoff := p.backoff
	for attempt := range callbackAttempts {
		if attempt > 0 {
			delay, backoff = backoff, backoff*2
		}
		if waitFor(p.ctx, delay) != nil {
			return
		}
		if err = p.send(body); err == nil {
			return
		}
	}
	p.cfg.Log.Warn("mock bank gives up a callback", slog.String("ref", ref), slog.Any("error", err))
}

func (p *callbackSender) send(body []byte) error {
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
	_, _ = io.CopyN(io.Discard, resp.Body, maxBody) // so that the connection can be reused
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("callback answered with HTTP %d", resp.StatusCode)
	}
	return nil
}

// close waits for the callbacks in progress, whose context has ended.
func (p *callbackSender) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.wg.Wait()
	p.client.CloseIdleConnections()
}

// eventID returns the same id for every delivery, so that the receiver recognizes a duplicate.
func eventID(seed uint64, ref string) string {
	return fmt.Sprintf("evt-%016x", seededRandom{seed: seed, ref: ref}.hash("event"))
}
