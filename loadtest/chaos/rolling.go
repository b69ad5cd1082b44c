package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// restarts is the number of restarts: each of the two APIs is restarted ten times.
const restarts = 20

// rolling restarts the APIs in turn, the next one when the previous one is ready.
func rolling(ctx context.Context, h *system) error {
	began := time.Now()
	for i := range restarts {
		rig.Pause(ctx, time.Until(began.Add(time.Duration(i+1)*h.options.duration/(restarts+1))))
		d := h.daemons[i%2]
		p := d.process()
		if !p.Signal(syscall.SIGTERM) {
			return fmt.Errorf("%s is not running and cannot be restarted", d.name)
		}
		<-p.Done()
		if err := rig.Poll(ctx, 5*time.Millisecond, func() (bool, error) { return d.process() != p, nil }); err != nil {
			return err
		}
		if err := d.waitReady(ctx); err != nil {
			return err
		}
		h.faultLog.count("rolling restart")
	}
	rig.Pause(ctx, time.Until(began.Add(h.options.duration)))
	return ctx.Err()
}

func rollingRows(r *result) []row {
	_, counts := r.system.faultLog.done()
	return []row{
		figure("restarts", "%d", counts["rolling restart"]).goal(counts["rolling restart"] == restarts, "%d", restarts),
		figure("requests sent again on a new connection", "%d", r.load.repeated.Load()),
		figure("requests that failed", "%d", r.load.failed.Load()).goal(r.load.failed.Load() == 0, "0"),
		figure("requests/s", "%.0f", r.rate).goal(r.rate >= 195, "≥ 195"),
	}
}

// plainly behaves like a plain HTTP client: if the connection breaks, it sends the request again
// on a new one. Only an answer of the API counts.
func (w *workload) plainly(ctx context.Context, o *operation) {
	a := w.client.send(ctx, w.history, o)
	if a.Status == 0 { // another pooled connection could be about to close as well
		w.repeated.Add(1)
		fresh := *w.client
		fresh.http = w.fresh
		a = fresh.send(ctx, w.history, o)
	}
	if a.Status == 0 || a.Status >= http.StatusInternalServerError {
		w.failed.Add(1)
		w.client.system.note("failed: %s", o)
	}
}

// balancer is one address in front of all APIs. It forwards each connection to the next API that
// accepts it.
type balancer struct {
	net.Listener
	system *system
	turn   atomic.Int64
}

func startBalancer(h *system) (b *balancer, err error) {
	b = &balancer{system: h}
	b.Listener, err = listen(b.serve)
	return b, err
}

func (b *balancer) url() string { return "http://" + b.Addr().String() }

func (b *balancer) serve(client net.Conn) {
	defer client.Close()
	server := b.dial()
	if server == nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // we dialed tcp
	}()
	_, _ = io.Copy(client, server)
}

func (b *balancer) dial() net.Conn {
	apis := b.system.apis()
	first := int(b.turn.Add(1))
	for i := range apis {
		address := apis[(first+i)%len(apis)][len("http://"):]
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil { //nolint:noctx // bounded
			return conn
		}
	}
	return nil
}
