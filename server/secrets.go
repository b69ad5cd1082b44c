package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// adoptSecrets checks that the configured secrets match those that the database knows, before
// they are used to sign or hash.
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

// AuditKeys returns the keys that sign audits.
func AuditKeys(secrets auth.Secrets) []ledger.AuditKey {
	var keys []ledger.AuditKey
	for _, k := range secrets.AuditKeys() {
		keys = append(keys, ledger.AuditKey{ID: k.ID, Key: k.Key.Reveal()})
	}
	return keys
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

// UseSecrets replaces the signing keys, the peppers and the callback secret of a running server,
// for new requests. If they do not match those that the database knows, it returns an error and
// the old ones stay in use.
func (s *Server) UseSecrets(ctx context.Context, secrets auth.Secrets) error {
	keys, err := secrets.Keys()
	if err != nil {
		return err
	}
	peppers, err := secrets.Peppers()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
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

// reportSecrets writes the ids of the secrets that this process holds to the database every few
// seconds, until ctx ends. It logs notes and errors that differ from those of the last report.
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
			s.log.Error("the secrets of this process no longer match the database", "error", err)
		} else if err != nil && text != lastError {
			s.log.Warn("the ids of the secrets of this process could not be reported", "error", err)
		}
		lastNotes, lastError = notes, text
	})
}

// SecretIDs returns the ids of the signing key and the pepper in use, for the log.
func (s *Server) SecretIDs() (signingKey, pepper string) { return s.secrets.Load().InUse() }
