package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// Ready is what kizod writes into its ready file.
type Ready struct {
	URL    string `json:"url"`
	OpsURL string `json:"ops_url"`
	PID    int    `json:"pid"`

	PprofURL string `json:"pprof_url"`
}

// ReadReady reads the ready file, if it is of this very process.
func (p *Process) ReadReady(path string) (ready Ready, ok bool) {
	contents, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(contents, &ready) != nil {
		return Ready{}, false
	}
	return ready, ready.PID == p.PID()
}

// WaitReady waits for the ready file of this very process.
func (p *Process) WaitReady(ctx context.Context, path string) (Ready, error) {
	for {
		if ready, ok := p.ReadReady(path); ok {
			return ready, nil
		}
		if !p.Alive() || ctx.Err() != nil {
			return Ready{}, p.neverReady()
		}
		Pause(ctx, 2*time.Millisecond)
	}
}

// WaitAnswering waits until something answers GET at url.
func (p *Process) WaitAnswering(ctx context.Context, url string) error {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		if !p.Alive() || ctx.Err() != nil {
			return p.neverReady()
		}
		Pause(ctx, 10*time.Millisecond)
	}
}

func (p *Process) neverReady() error {
	return fmt.Errorf("%s %s does not get ready:\n%s", p.cmd.Args[0], p.cmd.Args[1], Tail(p.output))
}

// FreeAddress is a loopback address that is free now, and that nobody else is
// likely to take before us.
func FreeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	address := listener.Addr().String()
	return address, listener.Close()
}
