package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// Secrets of a bank that lives as long as the run.
const (
	bankToken      = "chaos-bank-token"
	callbackSecret = "chaos-callback-secret"
)

// stubborn is the share of payments about whose amount the bank of a fault run lies
// until it is healed: they end with an operator.
const stubborn = 0.01

// bankProcess is the mock bank. Its port and its journal stay, whatever becomes of
// the process.
type bankProcess struct {
	system    *system
	address   string
	url       string
	callbacks *http.Server // takes what the bank sends to whichever API is up
	posted    string       // its URL

	mu      sync.Mutex
	current *rig.Process
	preset  string
}

func openBank(h *system) (*bankProcess, error) {
	address, err := rig.FreeAddress()
	if err != nil {
		return nil, err
	}
	b := &bankProcess{system: h, address: address, url: "http://" + address, preset: "calm"}
	if err := b.relayCallbacks(); err != nil {
		return nil, err
	}
	return b, b.restart("calm")
}

// relayCallbacks gives the bank one address for its callbacks, whichever API is up.
func (b *bankProcess) relayCallbacks() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // as above
	if err != nil {
		return fmt.Errorf("listen for the bank's callbacks: %w", err)
	}
	relay := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			to, err := url.Parse(b.system.anyAPI())
			if err == nil {
				r.SetURL(to)
			}
		},
		ErrorLog: log.New(io.Discard, "", 0), // APIs go away all the time here
	}
	b.callbacks = &http.Server{Handler: relay, ReadHeaderTimeout: time.Second}
	b.posted = "http://" + listener.Addr().String() + "/v1/bank/callbacks"
	go func() { _ = b.callbacks.Serve(listener) }()
	return nil
}

func (b *bankProcess) journal() string { return b.system.path("bank.jsonl") }

// restart kills the bank and starts it on its journal, with the faults of a preset.
func (b *bankProcess) restart(preset string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != nil {
		b.current.Signal(syscall.SIGKILL)
		<-b.current.Done()
	}
	b.preset = preset
	args := []string{
		"mockbank", "--bank-listen", b.address, "--journal", b.journal(), "--preset", preset,
		"--seed", strconv.FormatUint(b.system.options.seed, 10), "--log-format", "json", "--log-level", "warn",
		"--callback-url", b.posted,
	}
	if preset == "hell" {
		args = append(args, "--stubborn", strconv.FormatFloat(stubborn, 'f', -1, 64))
		if lies := b.system.options.lies; lies >= 0 {
			args = append(args, "--lies", strconv.FormatFloat(lies, 'f', -1, 64))
		}
	}
	var err error
	if b.current, err = rig.Spawn(b.system.binary, args, rig.ChildEnvironment("KIZO_BANK_TOKEN="+bankToken, "KIZO_BANK_CALLBACK_SECRET="+callbackSecret), b.system.path("bank.log")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	return b.current.WaitAnswering(ctx, b.url+"/healthz")
}

// again restarts it as it is.
func (b *bankProcess) again() error {
	b.mu.Lock()
	preset := b.preset
	b.mu.Unlock()
	return b.restart(preset)
}

func (b *bankProcess) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != nil {
		b.current.End(endWithin)
	}
	_ = b.callbacks.Close()
}
