package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/jackc/pgx/v5"
)

const (
	maxSearch    = 10
	maxUsersByID = 1000

	// lastRune, appended to a prefix, is the end of the range of all texts with that
	// prefix in the collation "C".
	lastRune = "\U0010FFFF"
)

const sqlFindUser = `
SELECT id, handle, name, status, role, findable_by_email
  FROM users
 WHERE email = nullif($1, '') AND email_verified_at IS NOT NULL OR handle = nullif($2, '')`

// FindUser returns the user with that verified e-mail address or handle (with or without
// the @), even if suspended. The result may be as old as a lease. The error has the code
// user_not_found if there is none. FindUser is for operators; see [Service.FindPayee].
func (s *Service) FindUser(ctx context.Context, loginOrHandle string) (UserRef, error) {
	return s.findUser(ctx, parseLogin(loginOrHandle))
}

func (s *Service) findUser(ctx context.Context, l login) (UserRef, error) {
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

// FindPayee finds a user whom the user with the id payer wants to pay. Look-ups by e-mail
// address are limited for each payer: the error then has the code too_many_lookups. They do
// not find a user who has disabled this, nor by an unverified address; the error is the same
// as for an unknown address.
func (s *Service) FindPayee(ctx context.Context, payer UserID, loginOrHandle string) (UserRef, error) {
	l := parseLogin(loginOrHandle)
	if l.email == "" {
		return s.findUser(ctx, l)
	}
	found := lookUp{payer, l.email}
	if _, again := s.foundByEmail.Get(found); !again {
		if err := s.throttle.lookUp(ctx, payer); err != nil {
			return UserRef{}, err
		}
	}
	ref, err := s.findUser(ctx, l)
	if err == nil && !ref.FindableByEmail && ref.ID != payer {
		err = errUserNotFound()
	}
	if err != nil {
		return UserRef{}, err
	}
	s.foundByEmail.Put(found, struct{}{})
	return ref, nil
}

// lookUp is a successful look-up by e-mail address. Repeating it reveals nothing new, and does
// not count.
type lookUp struct {
	payer UserID
	email string
}

const sqlUsersByID = `
SELECT id, handle, name, status, role, findable_by_email
  FROM users
 WHERE id = ANY($1)`

// UsersByID returns the users with these ids, at most 1000. Unknown ids are missing from the
// result, which may be as old as a lease.
func (s *Service) UsersByID(ctx context.Context, ids []UserID) (map[UserID]UserRef, error) {
	if len(ids) > maxUsersByID {
		return nil, fmt.Errorf("auth: %d user ids exceed the maximum of %d", len(ids), maxUsersByID)
	}
	found := make(map[UserID]UserRef, len(ids))
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

// The prefix is a range and not a LIKE pattern: % and _ have no special meaning, and a
// generic plan can use an index. Each branch stops after $3 rows, however many users there
// are.
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

// SearchUsers returns active users whose handle or name begins with prefix, ignoring case and
// normalization form; users whose handle matches come first. It returns at most limit users
// and never more than 10, and none for an empty prefix.
func (s *Service) SearchUsers(ctx context.Context, prefix string, limit int) ([]UserRef, error) {
	prefix = strings.TrimPrefix(strings.TrimSpace(prefix), "@")
	if prefix == "" || limit < 1 || utf8.RuneCountInString(prefix) > maxNameRunes ||
		!utf8.ValidString(prefix) || !text.Visible(strings.TrimRight(prefix, "\u200c\u200d")) {
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
