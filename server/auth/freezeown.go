package auth

import (
	"context"
	"log/slog"
)

// RecordFreeze records that a user froze their own account. The ledger freezes it.
func (s *Service) RecordFreeze(ctx context.Context, p Principal, client Client) error {
	if err := s.record(ctx, s.pool, EventFrozen, p.UserID, p.SessionID, client, ""); err != nil {
		return err
	}
	s.events.write(ctx, EventFrozen, append([]slog.Attr{slog.String("user", p.Handle)}, clientAttrs(client)...)...)
	return nil
}
