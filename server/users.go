package server

import (
	"context"
	"time"

	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/hashworker"
)

// newAuth makes the one door to users. Passwords are hashed in a child process where
// the config says how to start one.
func (s *Server) newAuth() (*auth.Service, error) {
	keys, err := s.config.Secrets.Keys()
	if err != nil {
		return nil, err
	}
	peppers, err := s.config.Secrets.Peppers()
	if err != nil {
		return nil, err
	}
	config := auth.Config{
		Pool: s.pool, Keys: keys, Peppers: peppers,
		HashSlots: s.config.HashSlots, HashMaxWait: s.config.HashMaxWait, Metrics: s.metrics.auth, Logger: s.log,
	}
	if len(s.config.HashWorker) > 0 && s.servesAPI() {
		s.hashWorker = hashworker.New(hashworker.Config{Arguments: s.config.HashWorker, Logger: s.log, OnPriorityRaised: s.metrics.auth.PriorityRaised})
		config.Hasher = s.hashWorker
	}
	return auth.New(config)
}

// How often what has expired is cleared away, and how much of it at a time: 600,000
// rows an hour, more than log-ins that fail can leave behind.
const (
	pruneEvery   = time.Minute
	pruneRows    = 500
	pruneBatches = 20
)

// prune clears away until ctx ends: expired sessions and tokens, failed log-ins that
// are forgotten.
func (s *Server) prune(ctx context.Context) error {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		if err := pruneOnce(ctx, s.auth); err != nil && ctx.Err() == nil {
			s.log.Warn("what has expired was not cleared away", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func pruneOnce(ctx context.Context, service *auth.Service) error {
	for range pruneBatches {
		gone, err := service.Prune(ctx, pruneRows)
		if err != nil || gone < pruneRows {
			return err
		}
	}
	return nil
}
