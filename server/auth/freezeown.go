package auth

import (
	"context"
	"log/slog"

	"github.com/google/uuid"
)

// RecordFreeze records that a user froze their own account. The ledger freezes it.
func (s *Service) RecordFreeze(ctx context.Context, p Principal, client Client) error {
	if err := s.record(ctx, s.pool, EventFrozen, p.UserID, p.SessionID, client, ""); err != nil {
		return err
	}
	s.events.write(ctx, EventFrozen, append([]slog.Attr{slog.String("user", p.Handle)}, clientAttrs(client)...)...)
	return nil
}

// RecordUnfreeze records that a user lifted the freeze of their own account. The ledger lifts it.
func (s *Service) RecordUnfreeze(ctx context.Context, p Principal, client Client) error {
	if err := s.record(ctx, s.pool, EventUnfrozen, p.UserID, p.SessionID, client, ""); err != nil {
		return err
	}
	s.events.write(ctx, EventUnfrozen, append([]slog.Attr{slog.String("user", p.Handle)}, clientAttrs(client)...)...)
	return nil
}

// RecordOperatorFreeze records for a user that an operator froze the account, or lifted the freeze.
// The ledger does it.
func (s *Service) RecordOperatorFreeze(ctx context.Context, user UserRef, frozen bool) error {
	event := EventUnfrozen
	if frozen {
		event = EventFrozen
	}
	if err := s.record(ctx, s.pool, event, user.ID, uuid.Nil, Client{}, "by an operator"); err != nil {
		return err
	}
	s.events.write(ctx, event, slog.String("user", user.Handle), slog.Bool("by_operator", true))
	return nil
}
