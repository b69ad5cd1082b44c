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

// ReadReady reads the ready file, if this process wrote it.
func (p *Process) ReadReady(path string) (ready Ready, ok bool) {
	contents, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(contents, &ready) != nil {
		return Ready{}, false
	}
	return ready, ready.PID == p.PID()
}

// WaitReady waits until this process has written its ready file.
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

// WaitAnswering waits until GET url is answered.
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
	return fmt.Errorf("%s %s is not ready:\n%s", p.cmd.Args[0], p.cmd.Args[1], Tail(p.output))
}

// FreeAddress returns a loopback address with a port that is free now. Another process
// could take it, which is unlikely.
func FreeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	address := listener.Addr().String()
	return address, listener.Close()
}
