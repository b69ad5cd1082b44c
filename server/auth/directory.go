package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	maxSearch    = 10
	maxUsersByID = 1000

	// lastRune closes a range of all texts with one prefix, in the byte order of
	// the collation "C".
	lastRune = "\U0010FFFF"
)

const sqlFindUser = `
SELECT id, handle, name, status, role, findable_by_email
  FROM users
 WHERE email = nullif($1, '') AND email_verified_at IS NOT NULL OR handle = nullif($2, '')`

// FindUser returns the user of that verified e-mail address or handle (with or without
// the @), suspended ones too. Names and status may be a lease old. It is for operators;
// users ask with [Service.FindPayee].
func (s *Service) FindUser(ctx context.Context, loginOrHandle string) (UserRef, error) {
	l := parseLogin(loginOrHandle)
	if s.cache.valid() {
		if id, ok := s.cache.logins.Get(l); ok {
			if known, ok := s.cache.users.Get(id); ok {
				return known, nil
			}
		}
	}
	keep := s.cache.beginLookUp()
	rows, err := s.pool.Query(ctx, sqlFindUser, l.email, l.handle)
	if err != nil {
		return UserRef{}, fmt.Errorf("find user: %w", err)
	}
	ref, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[UserRef])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return UserRef{}, errUserNotFound()
	case err != nil:
		return UserRef{}, fmt.Errorf("find user: %w", err)
	}
	keep(func() {
		s.cache.logins.Put(l, ref.ID)
		s.cache.users.Put(ref.ID, ref)
	})
	return ref, nil
}

// FindPayee is FindUser for a user. A look-up by e-mail address is on a budget of its own,
// and finds neither a user who does not want that nor an address that nobody has
// verified; the answer is the same as for an unknown address.
func (s *Service) FindPayee(ctx context.Context, asker uuid.UUID, loginOrHandle string) (UserRef, error) {
	l := parseLogin(loginOrHandle)
	if l.email == "" {
		return s.FindUser(ctx, loginOrHandle)
	}
	found := lookUp{asker, l.email}
	if _, again := s.foundByEmail.Get(found); !again {
		if err := s.throttle.lookUp(ctx, asker); err != nil {
			return UserRef{}, err
		}
	}
	ref, err := s.FindUser(ctx, loginOrHandle)
	if err == nil && !ref.FindableByEmail && ref.ID != asker {
		err = errUserNotFound()
	}
	if err != nil {
		return UserRef{}, err
	}
	s.foundByEmail.Put(found, struct{}{})
	return ref, nil
}

// lookUp is an e-mail address that a user has found another by. Finding it again tells
// nothing new, and is not counted.
type lookUp struct {
	asker uuid.UUID
	email string
}

const sqlUsersByID = `
SELECT id, handle, name, status, role, findable_by_email
  FROM users
 WHERE id = ANY($1)`

// UsersByID returns those of the users that exist; at most 1000 ids. Names and
// status may be a lease old.
func (s *Service) UsersByID(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]UserRef, error) {
	if len(ids) > maxUsersByID {
		return nil, fmt.Errorf("auth: %d users asked for at once, at most %d", len(ids), maxUsersByID)
	}
	found := make(map[uuid.UUID]UserRef, len(ids))
	unknown := ids
	if s.cache.valid() {
		unknown = nil
		for _, id := range ids {
			if known, ok := s.cache.users.Get(id); ok {
				found[id] = known
			} else {
				unknown = append(unknown, id)
			}
		}
	}
	if len(unknown) == 0 {
		return found, nil
	}
	keep := s.cache.beginLookUp()
	rows, err := s.pool.Query(ctx, sqlUsersByID, asBytes(unknown))
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	refs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[UserRef])
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	keep(func() {
		for _, ref := range refs {
			s.cache.users.Put(ref.ID, ref)
		}
	})
	for _, ref := range refs {
		found[ref.ID] = ref
	}
	return found, nil
}

// A prefix is asked for as a range and not with LIKE: % and _ mean nothing in
// it, and the plan reads an index even when it is made without knowing $1. Each
// branch stops after $3 rows, however many users there are.
const sqlSearchUsers = `
SELECT id, handle, name, status, role, findable_by_email
  FROM ((SELECT id, handle, name, status, role, findable_by_email
           FROM users
          WHERE handle >= $1 AND handle < $2 AND status = 'active'
          ORDER BY handle LIMIT $3)
        UNION
        (SELECT id, handle, name, status, role, findable_by_email
           FROM users
          WHERE name_key >= $1 AND name_key < $2 AND status = 'active'
          ORDER BY name_key, handle LIMIT $3)) AS found
 ORDER BY (handle >= $1 AND handle < $2) DESC, handle
 LIMIT $3`

// SearchUsers returns active users whose handle or name begins with prefix,
// whatever its case or normalization form, handles first; at most limit, and never more than 10. An
// empty prefix finds nobody.
func (s *Service) SearchUsers(ctx context.Context, prefix string, limit int) ([]UserRef, error) {
	prefix = strings.TrimPrefix(strings.TrimSpace(prefix), "@")
	if prefix == "" || limit < 1 || utf8.RuneCountInString(prefix) > maxNameRunes ||
		!utf8.ValidString(prefix) || !shown(strings.TrimRight(prefix, "\u200c\u200d")) {
		return []UserRef{}, nil // no name contains such a text
	}
	prefix = nameKey(prefix)
	rows, err := s.pool.Query(ctx, sqlSearchUsers, prefix, prefix+lastRune, min(limit, maxSearch))
	if err != nil {
		return nil, fmt.Errorf("search users: %w", err)
	}
	refs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[UserRef])
	if err != nil {
		return nil, fmt.Errorf("search users: %w", err)
	}
	return refs, nil
}
