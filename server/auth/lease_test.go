package auth

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

// A second process that has just seen the session open must not go by that once
// the change has returned in the first.
func TestNoLeaseOutlivesAChangeThatHasReturned(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*house, Tokens, User) error{
		"log out": func(h *house, tokens Tokens, _ User) error { return h.LogOut(t.Context(), tokens.SessionID) },
		"revoke":  func(h *house, tokens Tokens, u User) error { return h.RevokeSession(t.Context(), u.ID, tokens.SessionID) },
		"suspend": func(h *house, _ Tokens, u User) error { return h.Suspend(t.Context(), u.ID, "test") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			tokens, user := h.signUp("ada")
			other := h.another()
			stop, seen := make(chan struct{}), make(chan struct{})
			over := make(chan struct{})
			go func() { // the other process never lets its lease run out unused
				defer close(over)
				for first := true; ; first = false {
					_, _ = other.Verify(t.Context(), tokens.AccessToken)
					if first {
						close(seen)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			}()
			<-seen
			must(t, end(h, tokens, user))
			for _, service := range []*Service{h.Service, other} {
				if _, err := service.Verify(t.Context(), tokens.AccessToken); err == nil {
					t.Error("the session has ended and its token still counts")
				}
			}
			close(stop)
			<-over
		})
	}
}

func TestARoleHoldsEverywhereWhenItsGrantHasReturned(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tokens, _ := h.signUp("ada")
	other := h.another()
	_, err := other.Verify(t.Context(), tokens.AccessToken)
	must(t, err)
	must(t, h.Grant(t.Context(), "ada", RoleOperator))
	who, err := other.Verify(t.Context(), tokens.AccessToken)
	must(t, err)
	if who.Role != RoleOperator {
		t.Errorf("the role is %q after it was granted", who.Role)
	}
}

// What is known and fresh is not asked for again: with the pool closed any query
// would fail.
func TestAWarmServiceAsksTheDatabaseForNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.Lease = time.Hour })
	tokens, user := h.signUp("ada")
	look := func() error {
		if _, err := h.Verify(t.Context(), tokens.AccessToken); err != nil {
			return err
		}
		if _, err := h.FindUser(t.Context(), "@ada"); err != nil {
			return err
		}
		_, err := h.UsersByID(t.Context(), []uuid.UUID{user.ID})
		return err
	}
	must(t, look())
	h.config.Pool.Close()
	if err := look(); err != nil {
		t.Errorf("a second look went to the database: %v", err)
	}
	if _, err := h.FindUser(t.Context(), "@bob"); err == nil {
		t.Error("somebody unknown was found without a database")
	}
}

func TestAVerifiedTokenStillExpires(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.Lease = time.Hour })
	tokens, _ := h.signUp("ada")
	_, err := h.Verify(t.Context(), tokens.AccessToken)
	must(t, err)
	h.clock.Advance(tokens.ExpiresIn + leeway)
	if _, err := h.Verify(t.Context(), tokens.AccessToken); CodeOf(err) != CodeTokenExpired {
		t.Errorf("an expired token that was verified before gives %v", err)
	}
}

func TestANewNameIsSeenByOthersAtOnceInOneProcess(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, user := h.signUp("ada")
	for range 2 {
		_, err := h.FindUser(t.Context(), "@ada")
		must(t, err)
	}
	_, err := h.Rename(t.Context(), user.ID, "Countess")
	must(t, err)
	ref, err := h.FindUser(t.Context(), "@ada")
	must(t, err)
	people, err := h.UsersByID(t.Context(), []uuid.UUID{user.ID})
	must(t, err)
	if ref.Name != "Countess" || people[user.ID].Name != "Countess" {
		t.Errorf("the old name is still shown: %q, %q", ref.Name, people[user.ID].Name)
	}
}
