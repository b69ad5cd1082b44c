package auth

import (
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

func (h *harness) changeHandle(user User, handle string) problem.Code {
	h.t.Helper()
	_, err := h.ChangeHandle(h.t.Context(), user.ID, ChangeHandleInput{Handle: handle, Password: goodPassword})
	return code(h.t, err)
}

// aYearLater makes all changes of handles a year old.
func (h *harness) aYearLater() {
	h.t.Helper()
	_, err := h.owner().pool.Exec(h.t.Context(), `UPDATE former_handles SET changed_at = changed_at - interval '1 year'`)
	testkit.Must(h.t, err)
}

// TestHandleChanges: a user changes the handle twice within a year, and keeps the earlier ones.
func TestHandleChanges(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, alice := h.signUp("alice")
	_, bob := h.signUp("bob")
	for handle, want := range map[string]problem.Code{
		"A": CodeHandleMalformed, "kizo_support": CodeHandleReserved, "bob": CodeHandleTaken, "@Alice": CodeHandleUnchanged,
	} {
		testkit.Equal(t, handle, h.changeHandle(alice, handle), want)
	}
	_, err := h.ChangeHandle(t.Context(), alice.ID, ChangeHandleInput{Handle: "alina", Password: otherPassword})
	wantCode(t, err, CodeInvalidCredentials)

	testkit.Equal(t, "first", h.changeHandle(alice, "@Alina"), "")
	principal, err := h.Verify(t.Context(), session.AccessToken)
	testkit.Must(t, err)
	testkit.Equal(t, "handle in an open session", principal.Handle, "alina")
	_, _, err = h.LogIn(t.Context(), "alice", goodPassword, "", Client{})
	wantCode(t, err, CodeInvalidCredentials)
	h.logIn("alina")
	testkit.Equal(t, "a former handle of another user", h.changeHandle(bob, "alice"), CodeHandleTaken)
	_, err = h.signUpWith("eve@example.com", "alice", goodPassword)
	wantCode(t, err, CodeHandleTaken)

	testkit.Equal(t, "back", h.changeHandle(alice, "alice"), "")
	testkit.Equal(t, "third", h.changeHandle(alice, "alix"), CodeTooManyHandleChanges)
	h.aYearLater()
	testkit.Equal(t, "a year later", h.changeHandle(alice, "alix"), "")
	testkit.Equal(t, "again", h.changeHandle(alice, "alina"), "")
	testkit.Equal(t, "too often again", h.changeHandle(alice, "alice"), CodeTooManyHandleChanges)
	for _, handle := range []string{"alice", "alix", "alina"} {
		testkit.Equal(t, handle+" for bob", h.changeHandle(bob, handle), CodeHandleTaken)
	}
	events, err := h.History(t.Context(), alice.ID, 20)
	testkit.Must(t, err)
	changes := 0
	for _, e := range events {
		if e.Event == EventHandleChanged {
			changes++
		}
	}
	testkit.Equal(t, "events", changes, 4)
	found, err := h.FindPayees(t.Context(), bob.ID, []string{"@alice", "@alina", "@unknown_handle"})
	testkit.Must(t, err)
	testkit.Equal(t, "former handle", found[0].Former, true)
	testkit.Equal(t, "present handle", found[1].User.ID, alice.ID)
	testkit.Equal(t, "unknown handle", found[2].Former, false)
}

// TestDatabaseKeepsHandles: the database refuses what the code never asks for, also of the owner of
// the tables.
func TestDatabaseKeepsHandles(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	_, bob := h.signUp("bob")
	testkit.Equal(t, "change", h.changeHandle(alice, "alina"), "")
	change := func(id UserID, handle string) error {
		_, err := h.pool.Exec(t.Context(), `UPDATE users SET handle = $2 WHERE id = $1`, id, handle)
		return err
	}
	refused := func(what string, err error, state string) {
		t.Helper()
		if got, ok := errors.AsType[*pgconn.PgError](err); !ok || got.Code != state {
			t.Errorf("%s: %v, want %s", what, err, state)
		}
	}
	refused("a handle of another user", change(bob.ID, "alice"), "23505")
	testkit.Must(t, change(alice.ID, "alix"))
	refused("a third change", change(alice.ID, "alma"), "23514")
	owner := h.owner().pool
	for _, sql := range []string{`DELETE FROM former_handles`, `TRUNCATE former_handles`, `UPDATE former_handles SET handle = 'x' || handle`} {
		_, err := owner.Exec(t.Context(), sql)
		refused(sql, err, "23000")
	}
	tx, err := h.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	testkit.Must(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = tx.Exec(t.Context(), `UPDATE users SET handle = 'bert' WHERE id = $1`, bob.ID)
	refused("a snapshot that may be too old", err, "P0001")
}

// TestHandleRaces: users who change to and from the same handles at the same moment never share
// one, and no user gets one that another had.
func TestHandleRaces(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const rounds, others = 20, 5
	won, refusals := 0, 0
	for range rounds {
		_, alice := h.signUp("alice" + newID().String()[24:])
		users := make([]User, others)
		for i := range users {
			_, users[i] = h.signUp("u" + newID().String()[24:])
		}
		var (
			all   sync.WaitGroup
			mu    sync.Mutex
			start = make(chan struct{})
		)
		all.Go(func() {
			<-start
			if got := h.changeHandle(alice, alice.Handle+"x"); got != "" {
				t.Errorf("alice: %s", got)
			}
		})
		for _, u := range users {
			all.Go(func() {
				<-start
				got := h.changeHandle(u, alice.Handle)
				mu.Lock()
				defer mu.Unlock()
				if got == "" {
					won++
				} else {
					refusals++
				}
			})
		}
		close(start)
		all.Wait()
	}
	testkit.Equal(t, "users who got the handle of another", won, 0)
	t.Logf("%d attempts to take a handle that its user gives up at that moment: %d refused, %d got it", rounds*others, refusals, won)
}
