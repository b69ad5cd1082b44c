package rig

import (
	"context"
	"encoding/json"
	"errors"
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

// WaitReady waits until this process has written its ready file.
func (p *Process) WaitReady(ctx context.Context, path string) (ready Ready, err error) {
	err = p.await(ctx, 2*time.Millisecond, func() bool {
		contents, err := os.ReadFile(path)
		return err == nil && json.Unmarshal(contents, &ready) == nil && ready.PID == p.PID()
	})
	return ready, err
}

// WaitAnswering waits until GET url is answered.
func (p *Process) WaitAnswering(ctx context.Context, url string) error {
	return p.await(ctx, 10*time.Millisecond, func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return false
		}
		response, err := http.DefaultClient.Do(request)
		return err == nil && response.Body.Close() == nil
	})
}

// await polls until the process is ready. It is an error if the process ends before.
func (p *Process) await(ctx context.Context, interval time.Duration, ready func() bool) error {
	err := Poll(ctx, interval, func() (bool, error) {
		if !p.Alive() {
			return false, errors.New("it has exited")
		}
		return ready(), nil
	})
	if err != nil {
		return fmt.Errorf("%s %s is not ready: %w\n%s", p.cmd.Args[0], p.cmd.Args[1], err, Tail(p.output))
	}
	return nil
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
