package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const bankToken = "chaos-bank-token" // of a bank that lives as long as the run

// bankProcess is the mock bank. Its port and its journal stay, whatever becomes of
// the process.
type bankProcess struct {
	house   *house
	address string
	url     string

	mu      sync.Mutex
	current *process
	preset  string
}

func openBank(h *house) (*bankProcess, error) {
	// The port is free now, and nobody else is likely to take it before us.
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		return nil, fmt.Errorf("find a port for the bank: %w", err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	b := &bankProcess{house: h, address: address, url: "http://" + address, preset: "calm"}
	return b, b.restart("calm")
}

func (b *bankProcess) journal() string { return b.house.path("bank.jsonl") }

// restart kills the bank and starts it on its journal, with the faults of a preset.
func (b *bankProcess) restart(preset string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != nil {
		b.current.signal(syscall.SIGKILL)
		<-b.current.done
	}
	b.preset = preset
	args := []string{
		"mockbank", "--bank-listen", b.address, "--journal", b.journal(), "--preset", preset,
		"--seed", strconv.FormatUint(b.house.options.seed, 10), "--log-format", "json", "--log-level", "warn",
	}
	if lies := b.house.options.lies; lies >= 0 && preset == "hell" {
		args = append(args, "--lies", strconv.FormatFloat(lies, 'f', -1, 64))
	}
	var err error
	if b.current, err = spawn(b.house.binary, args, environment("KIZO_BANK_TOKEN="+bankToken), b.house.path("bank.log")); err != nil {
		return err
	}
	return b.waitReady()
}

func (b *bankProcess) waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/healthz", http.NoBody) //nolint:gosec // our own bank
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request) //nolint:gosec // our own bank
		if err == nil {
			_ = response.Body.Close()
			return nil
		}
		if !b.current.alive() || ctx.Err() != nil {
			return fmt.Errorf("the mock bank does not start: %w\n%s", err, tail(b.house.path("bank.log")))
		}
		pause(ctx, 10*time.Millisecond)
	}
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
		b.current.end(endWithin)
	}
}
