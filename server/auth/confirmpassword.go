package auth

import (
	"context"
	"fmt"
)

// confirmPassword checks the password of a signed-in user before a change that outlives the
// session. It counts, throttles and records like a log-in with the handle. The caller must call
// right of the attempt, in the transaction of the change, or giveBack.
func (s *Service) confirmPassword(ctx context.Context, userID UserID, password string, client Client) (attempt, error) {
	user, err := s.Me(ctx, userID)
	if err != nil {
		return attempt{}, err
	}
	if len(password) > MaxPasswordBytes {
		return attempt{}, errInvalidCredentials()
	}
	found, confirmed, err := s.checkLogin(ctx, "@"+user.Handle, password, client)
	if err != nil {
		s.logSignIn(ctx, found, "@"+user.Handle, client, err)
		return attempt{}, fmt.Errorf("confirm the password: %w", err)
	}
	if found.ID != userID { // handles do not change, so this is a failure of the database or of this code
		confirmed.giveBack(ctx)
		return attempt{}, fmt.Errorf("the handle %s belongs to two users", user.Handle)
	}
	return confirmed, nil
}
