package auth

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

// TestChangeAppliesInAllProcesses: after a change has returned in one process, another process,
// which has cached the session, must not use the cached state.
func TestChangeAppliesInAllProcesses(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*harness, Tokens, User) error{
		"log out": func(h *harness, tokens Tokens, _ User) error { return h.LogOut(t.Context(), tokens.SessionID) },
		"revoke": func(h *harness, tokens Tokens, u User) error {
			return h.RevokeSession(t.Context(), u.ID, tokens.SessionID)
		},
		"suspend": func(h *harness, _ Tokens, u User) error { return h.Suspend(t.Context(), u.ID, "test") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			tokens, user := h.signUp("ada")
			other := h.another()
			stop, seen := make(chan struct{}), make(chan struct{})
			over := make(chan struct{})
			go func() { // the other process renews its lease all the time
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
			testkit.Must(t, end(h, tokens, user))
			for _, service := range []*Service{h.Service, other} {
				if _, err := service.Verify(t.Context(), tokens.AccessToken); err == nil {
					t.Error("the token of an ended session is accepted")
				}
			}
			close(stop)
			<-over
		})
	}
}

func TestGrantAppliesInAllProcesses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, _ := h.signUp("ada")
	other := h.another()
	_, err := other.Verify(t.Context(), tokens.AccessToken)
	testkit.Must(t, err)
	testkit.Must(t, h.owner().Grant(t.Context(), "ada", RoleOperator, "test"))
	who, err := other.Verify(t.Context(), tokens.AccessToken)
	testkit.Must(t, err)
	if who.Role != RoleOperator {
		t.Errorf("the role is %q after it was granted", who.Role)
	}
}

// TestCachedSessionNeedsNoQuery: a valid cached entry is used without a query. The pool is closed,
// so that any query would fail.
func TestCachedSessionNeedsNoQuery(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.Lease = time.Hour })
	h.cache.update() // reads the changes for the first time, before which no entry is valid
	tokens, user := h.signUp("ada")
	look := func() error {
		if _, err := h.Verify(t.Context(), tokens.AccessToken); err != nil {
			return err
		}
		if _, err := h.FindUser(t.Context(), "@ada"); err != nil {
			return err
		}
		_, err := h.UsersByID(t.Context(), []UserID{user.ID})
		return err
	}
	testkit.Must(t, look())
	h.config.Pool.Close()
	if err := look(); err != nil {
		t.Errorf("the second look-up queried the database: %v", err)
	}
	if _, err := h.FindUser(t.Context(), "@bob"); err == nil {
		t.Error("an unknown user was found without a query")
	}
}

func TestVerifiedTokenExpires(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.Lease = time.Hour })
	tokens, _ := h.signUp("ada")
	_, err := h.Verify(t.Context(), tokens.AccessToken)
	testkit.Must(t, err)
	h.clock.Advance(tokens.ExpiresIn + leeway)
	if _, err := h.Verify(t.Context(), tokens.AccessToken); problem.CodeOf(err) != CodeTokenExpired {
		t.Errorf("for an expired token that was verified before: %v", err)
	}
}

// TestMissedChangesClearCache: a process that may have missed changes clears its cache: if there
// are more changes than it reads at a time, or if changes were pruned.
func TestMissedChangesClearCache(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.Lease = time.Hour })
	tokens, user := h.signUp("ada")
	other := h.another()
	other.cache.update()
	for _, lost := range []string{
		`ALTER TABLE access_changes DISABLE TRIGGER access_changes_read; DELETE FROM access_changes`,
		`INSERT INTO access_changes SELECT v.version + i, 'name', gen_random_uuid() FROM access_version v, generate_series(1, 2000) i;
		 UPDATE access_version SET version = version + 2000`,
	} {
		_, err := other.Verify(t.Context(), tokens.AccessToken)
		testkit.Must(t, err)
		if _, kept := other.cache.sessions.Get(tokens.SessionID); !kept {
			t.Fatal("the session is not cached, which is a precondition of the test")
		}
		h.asOwner(`UPDATE users SET role = CASE role WHEN 'user' THEN 'operator' ELSE 'user' END;` + lost)
		other.cache.update()
		if _, kept := other.cache.sessions.Get(tokens.SessionID); kept {
			t.Errorf("changes were missed, and the session of %s is still cached, after: %s", user.Handle, lost)
		}
	}
}

// TestOutdatedLookUpIsNotCached: a look-up that has read the tables before a change must not be
// cached after the change was applied, since no later change would remove it.
func TestOutdatedLookUpIsNotCached(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.Lease = time.Hour })
	tokens, _ := h.signUp("ada")
	h.cache.update()
	keep := h.cache.beginLookUp()
	before, found, err := h.sessionLookUps.get(t.Context(), tokens.SessionID)
	testkit.Must(t, err)
	if !found {
		t.Fatal("no session")
	}
	h.asOwner(`UPDATE sessions SET revoked_at = now(), revoked_reason = 'logout'`)
	h.cache.update()
	keep(func() { h.cache.sessions.Put(tokens.SessionID, before) })
	if _, kept := h.cache.sessions.Get(tokens.SessionID); kept {
		t.Error("an outdated look-up was cached")
	}
}

func TestPruneKeepsNewestChanges(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.asOwner(`INSERT INTO access_changes SELECT v.version + i, 'name', gen_random_uuid() FROM access_version v, generate_series(1, 10500) i;
		UPDATE access_version SET version = version + 10500`)
	_, err := h.Prune(t.Context(), 10)
	testkit.Must(t, err)
	var left int64
	testkit.Must(t, h.pool.QueryRow(t.Context(), `SELECT count(*) FROM access_changes`).Scan(&left))
	if left != keepChanges {
		t.Errorf("%d changes are left, want %d", left, keepChanges)
	}
}

func TestNewNameIsVisibleAtOnceInOneProcess(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, user := h.signUp("ada")
	for range 2 {
		_, err := h.FindUser(t.Context(), "@ada")
		testkit.Must(t, err)
	}
	_, err := h.rename(user.ID, "Countess")
	testkit.Must(t, err)
	ref, err := h.FindUser(t.Context(), "@ada")
	testkit.Must(t, err)
	people, err := h.UsersByID(t.Context(), []UserID{user.ID})
	testkit.Must(t, err)
	if ref.Name != "Countess" || people[user.ID].Name != "Countess" {
		t.Errorf("the old name is still shown: %q, %q", ref.Name, people[user.ID].Name)
	}
}

// asOwner runs statements as the owner of the tables, in one transaction.
func (h *harness) asOwner(statements string) {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), h.db.AdminURL)
	testkit.Must(h.t, err)
	defer conn.Close(h.t.Context())
	_, err = conn.Exec(h.t.Context(), statements, pgx.QueryExecModeSimpleProtocol)
	testkit.Must(h.t, err)
}
