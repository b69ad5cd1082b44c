package auth

import (
	"context"
	"log/slog"

	"github.com/google/uuid"
)

// RecordOwnFreeze records that a user froze their own account, or lifted that. The ledger does it.
func (s *Service) RecordOwnFreeze(ctx context.Context, p Principal, client Client, frozen bool) error {
	event := freezeEvent(frozen)
	if err := s.record(ctx, s.pool, event, p.UserID, p.SessionID, client, ""); err != nil {
		return err
	}
	s.events.write(ctx, event, append([]slog.Attr{slog.String("user", p.Handle)}, clientAttrs(client)...)...)
	return nil
}

// RecordOperatorFreeze records for a user that an operator froze the account, or lifted the freeze.
// The ledger does it.
func (s *Service) RecordOperatorFreeze(ctx context.Context, user UserRef, frozen bool) error {
	event := freezeEvent(frozen)
	if err := s.record(ctx, s.pool, event, user.ID, uuid.Nil, Client{}, "by an operator"); err != nil {
		return err
	}
	s.events.write(ctx, event, slog.String("user", user.Handle), slog.Bool("by_operator", true))
	return nil
}

func freezeEvent(frozen bool) SecurityEvent {
	if frozen {
		return EventFrozen
	}
	return EventUnfrozen
}
