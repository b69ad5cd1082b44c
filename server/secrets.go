package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/JDevAman/kizo/server/auth"
)

// adoptSecrets refuses secrets that do not fit the database, before anything is signed
// or hashed with them.
func (s *Server) adoptSecrets(ctx context.Context) error {
	s.secretsRegistry = auth.NewRegistry(s.pool, auth.Process{Name: processName(), Roles: roleNames(s.config.Roles), Version: s.config.Version})
	notes, err := s.secretsRegistry.Adopt(ctx, s.config.Secrets)
	if err != nil {
		return err
	}
	s.secrets.Store(&s.config.Secrets)
	s.warnOfSecrets(notes)
	return nil
}

func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%.150s, process %d", host, os.Getpid())
}

func roleNames(roles []Role) string {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	return strings.Join(names, ",")
}

func (s *Server) warnOfSecrets(notes []string) {
	for _, note := range notes {
		s.log.Warn("the secrets file differs from the database", "difference", note)
	}
}

// UseSecrets replaces the signing keys, the peppers and the callback secret of a running
// server, for requests from now on. Where they do not fit the database, the old ones stay
// in use.
func (s *Server) UseSecrets(ctx context.Context, secrets auth.Secrets) error {
	keys, err := secrets.Keys()
	if err != nil {
		return err
	}
	peppers, err := secrets.Peppers()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	notes, err := s.secretsRegistry.Adopt(ctx, secrets)
	if err != nil {
		return err
	}
	s.auth.UseSecrets(keys, peppers)
	s.settler.UseCallbackSecret(secrets.BankCallback.Reveal())
	s.secrets.Store(&secrets)
	s.warnOfSecrets(notes)
	return nil
}

// reportSecrets tells the database every few seconds which secrets this process holds,
// until ctx ends. What is the same as at the report before is not logged again.
func (s *Server) reportSecrets(ctx context.Context) error {
	var lastNotes []string
	var lastError string
	return s.secretsRegistry.Run(ctx, func() auth.Secrets { return *s.secrets.Load() }, func(notes []string, err error) {
		if !slices.Equal(notes, lastNotes) {
			s.warnOfSecrets(notes)
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if _, differs := errors.AsType[*auth.MismatchError](err); differs && text != lastError {
			s.log.Error("this process has other secrets than the database by now", "error", err)
		} else if err != nil && text != lastError {
			s.log.Warn("this process could not report which secrets it has", "error", err)
		}
		lastNotes, lastError = notes, text
	})
}

// SecretIDs are the ids of the signing key and the pepper in use, for the log.
func (s *Server) SecretIDs() (signingKey, pepper string) { return s.secrets.Load().InUse() }
