package server

import (
	"context"
	"time"

	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/hashworker"
)

// newAuth makes the service for users and sessions. Passwords are hashed in a child process if
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
		HashSlots: s.config.HashSlots, HashMaxWait: s.config.HashMaxWait,
		SessionIdle: s.config.SessionIdle, SessionLifetime: s.config.SessionLifetime, Metrics: s.metrics.auth, Logger: s.log,
	}
	if len(s.config.HashWorker) > 0 && s.servesAPI() {
		s.hashWorker = hashworker.New(hashworker.Config{Arguments: s.config.HashWorker, Logger: s.log, OnPriorityRaised: s.metrics.auth.PriorityRaised})
		config.Hasher = s.hashWorker
	}
	return auth.New(config)
}

// Bounds of one deletion of expired rows. With the default interval this is at most 600,000 rows
// an hour, more than failed log-ins can add.
const (
	pruneRows    = 500 // of each table, in one statement
	pruneBatches = 20
)

// prune deletes expired sessions, tokens, log-in failures and notices every PruneInterval until ctx
// ends.
func (s *Server) prune(ctx context.Context) error {
	ticker := time.NewTicker(s.config.PruneInterval)
	defer ticker.Stop()
	for {
		if err := s.pruneOnce(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("expired sessions and log-in failures were not deleted", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (s *Server) pruneOnce(ctx context.Context) error {
	for range pruneBatches {
		deleted, err := s.auth.Prune(ctx, pruneRows)
		if err != nil {
			return err
		}
		old, err := s.notices.Prune(ctx, pruneRows)
		if err != nil || deleted < pruneRows && old < pruneRows {
			return err
		}
	}
	return nil
}
