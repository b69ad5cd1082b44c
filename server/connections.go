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

// A process has so many file descriptors, and each connection takes one. They are
// divided at start, so that clients can never use up those that lead to PostgreSQL,
// Redis and the bank.
const (
	opsConnections   = 64  // of operators' machines
	otherDescriptors = 128 // Redis, the bank, the hash workers, files and what the runtime opens
	bankShare        = 8   // the mock bank of a Dev has the 8th part
	fewestShare      = 4   // clients have at least the 4th part, however few there are
)

// clientConnections is how many clients of the API may be connected when the process
// has that many descriptors (0 if there is no limit) and its pool that many connections.
func clientConnections(descriptors, pool int) int {
	if descriptors == 0 {
		return api.DefaultConnections
	}
	left := descriptors - descriptors/bankShare - opsConnections - otherDescriptors - pool
	return min(max(left, descriptors/fewestShare), api.DefaultConnections)
}

// bankConnections is the same of the mock bank that is a part of this process.
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

// connections of clients: what is configured, if there are file descriptors for it.
func (s *Server) connections() api.Connections {
	const few = 1024
	descriptors := listener.Descriptors()
	maximum := clientConnections(descriptors, int(s.config.MaxConnections))
	switch wanted := s.config.ClientConnections; {
	case wanted > maximum && descriptors > 0:
		s.log.Warn("max_connections is more than the file descriptors allow: raise LimitNOFILE", "wanted", wanted, "connections", maximum, "descriptors", descriptors)
	case wanted > 0:
		maximum = wanted
	case maximum < few:
		s.log.Warn("few clients can be connected at once: raise LimitNOFILE", "connections", maximum, "descriptors", descriptors)
	}
	return api.Connections{Max: maximum, PerAddress: s.config.AddressConnections, Metrics: s.metrics.listeners}
}

// serveOps answers operators and their machines until the listener is closed.
func (s *Server) serveOps(server *http.Server, inner net.Listener) error {
	server.ReadHeaderTimeout, server.ReadTimeout, server.IdleTimeout = 5*time.Second, 10*time.Second, 2*time.Minute
	server.ConnState = listener.Track
	return server.Serve(listener.New(inner, listener.Config{Name: "operators", Max: opsConnections, Metrics: s.metrics.listeners, Logger: s.log}))
}
