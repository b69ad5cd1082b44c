package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/listener"
)

// A process has a limited number of file descriptors, and each connection takes one. They are
// divided at the start, so that clients can never use up those for PostgreSQL, Redis and the
// bank.
const (
	opsConnections   = 64  // of the operators' listener
	otherDescriptors = 128 // Redis, the bank, the hash workers, files, and the Go runtime
	bankShare        = 8   // the mock bank of a Dev gets 1/8
	minClientShare   = 4   // clients get at least 1/4, however few there are
)

// clientConnections returns how many clients of the API may be connected if the process has
// that many file descriptors (0 if there is no limit) and the pool that many connections.
func clientConnections(descriptors, pool int) int {
	if descriptors == 0 {
		return api.DefaultConnections
	}
	rest := descriptors - descriptors/bankShare - opsConnections - otherDescriptors - pool
	return min(max(rest, descriptors/minClientShare), api.DefaultConnections)
}

// bankConnections returns the same for the mock bank of a Dev.
func bankConnections(descriptors int) int { return descriptors / bankShare }

// listen opens the addresses of the API and of the operators.
func (s *Server) listen(ctx context.Context) (err error) {
	s.apiListener = s.config.Listener
	if s.servesAPI() && s.apiListener == nil {
		if s.apiListener, err = listenForAPI(ctx, s.config.Listen); err != nil {
			return err
		}
	}
	var config net.ListenConfig
	if s.opsListener, err = config.Listen(ctx, "tcp", s.config.OpsListen); err != nil {
		return fmt.Errorf("listen for operators (--ops-listen picks another address): %w", err)
	}
	return s.listenForPprof(ctx)
}

func listenForAPI(ctx context.Context, address string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the API (--listen picks another address): %w", err)
	}
	return listener, nil
}

// connections returns the limits of client connections: those of the config, as far as the file
// descriptors allow them.
func (s *Server) connections() api.Connections {
	const warnBelow = 1024
	descriptors := listener.Descriptors()
	maximum := clientConnections(descriptors, int(s.config.MaxConnections))
	switch wanted := s.config.ClientConnections; {
	case wanted > maximum && descriptors > 0:
		s.log.Warn("max_connections is more than the file descriptors allow: raise LimitNOFILE", "wanted", wanted, "connections", maximum, "descriptors", descriptors)
	case wanted > 0:
		maximum = wanted
	case maximum < warnBelow:
		s.log.Warn("few clients can be connected at once: raise LimitNOFILE", "connections", maximum, "descriptors", descriptors)
	}
	return api.Connections{Max: maximum, PerAddress: s.config.AddressConnections, Metrics: s.metrics.listeners}
}

// serveOps serves operators and their tools until the listener is closed.
func (s *Server) serveOps(server *http.Server, inner net.Listener) error {
	server.ReadHeaderTimeout, server.ReadTimeout, server.IdleTimeout = 5*time.Second, 10*time.Second, 2*time.Minute
	server.ConnState = listener.Track
	return server.Serve(listener.New(inner, listener.Config{Name: "operators", Max: opsConnections, Metrics: s.metrics.listeners, Logger: s.log}))
}
