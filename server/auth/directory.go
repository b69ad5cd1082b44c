package auth

import (
	"context"
	"fmt"
	"maps"
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

// A row is found by its handle, or by its e-mail address if that is verified.
const sqlFindUsers = `
SELECT id, handle, name, status, role, findable_by_email, CASE WHEN email_verified_at IS NOT NULL THEN email ELSE '' END
  FROM users
 WHERE email = ANY($1) AND email_verified_at IS NOT NULL OR handle = ANY($2)`

// FindUser returns the user with that verified e-mail address or handle (with or without
// the @), even if suspended. The result may be as old as a lease. The error has the code
// user_not_found if there is none. FindUser is for operators; see [Service.FindPayees].
func (s *Service) FindUser(ctx context.Context, loginOrHandle string) (UserRef, error) {
	l := parseLogin(loginOrHandle)
	found, err := s.findUsers(ctx, []login{l})
	if err != nil {
		return UserRef{}, err
	}
	ref, ok := found[l]
	if !ok {
		return UserRef{}, errUserNotFound()
	}
	return ref, nil
}

// findUsers returns the users that have these logins. It makes at most one query.
func (s *Service) findUsers(ctx context.Context, logins []login) (map[login]UserRef, error) {
	found := make(map[login]UserRef, len(logins))
	emails, handles := s.uncachedLogins(logins, found)
	if len(emails)+len(handles) == 0 {
		return found, nil
	}
	keep := s.cache.beginLookUp()
	rows, err := s.pool.Query(ctx, sqlFindUsers, emails, handles)
	if err != nil {
		return nil, fmt.Errorf("find users: %w", err)
	}
	asked := make(map[login]bool, len(logins))
	for _, l := range logins {
		asked[l] = true
	}
	var (
		ref   UserRef
		email string
		read  []UserRef
	)
	queried := make(map[login]UserRef, len(logins))
	_, err = pgx.ForEachRow(rows, []any{&ref.ID, &ref.Handle, &ref.Name, &ref.Status, &ref.Role, &ref.FindableByEmail, &email}, func() error {
		read = append(read, ref)
		for _, l := range [...]login{{email: email}, {handle: ref.Handle}} {
			if l != (login{}) && asked[l] {
				queried[l] = ref
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find users: %w", err)
	}
	keep(func() {
		for _, ref := range read {
			s.cache.users.Put(ref.ID, ref)
		}
		for l, ref := range queried {
			s.cache.logins.Put(l, ref.ID)
		}
	})
	maps.Copy(found, queried)
	return found, nil
}

// uncachedLogins puts the users that are cached into found, and returns the other e-mail
// addresses and handles.
func (s *Service) uncachedLogins(logins []login, found map[login]UserRef) (emails, handles []string) {
	emails, handles = []string{}, []string{} // not NULL in SQL
	valid := s.cache.valid()
	for _, l := range logins {
		if valid {
			if id, ok := s.cache.logins.Get(l); ok {
				if known, ok := s.cache.users.Get(id); ok {
					found[l] = known
					continue
				}
			}
		}
		switch {
		case l.email != "":
			emails = append(emails, l.email)
		case l.handle != "":
			handles = append(handles, l.handle)
		}
	}
	return emails, handles
}

// FoundPayee is a result of FindPayees: a user, or why there is none.
type FoundPayee struct {
	User   UserRef
	Err    error
	Former bool // the handle is one that its user has given up
	Closed bool // the user has closed the account
}

// FindPayees finds the users whom the user with the id payer wants to pay, by handle or e-mail
// address, and returns a result for each text, in order. It makes at most one query for all of
// them, and one for each new e-mail address: look-ups by e-mail address are limited for each
// payer, and beyond that have the code too_many_lookups. They do not find a user who has
// disabled this, nor by an unverified address; the error is the same as for an unknown address.
func (s *Service) FindPayees(ctx context.Context, payer UserID, loginsOrHandles []string) ([]FoundPayee, error) {
	results := make([]FoundPayee, len(loginsOrHandles))
	logins := make([]login, len(loginsOrHandles))
	allowed := make([]login, 0, len(loginsOrHandles))
	for i, text := range loginsOrHandles {
		logins[i] = parseLogin(text)
		if err := s.mayLookUp(ctx, payer, logins[i]); err != nil {
			results[i].Err = err
			continue
		}
		allowed = append(allowed, logins[i])
	}
	found, err := s.findUsers(ctx, allowed)
	if err != nil {
		return nil, err
	}
	for i, l := range logins {
		if results[i].Err != nil {
			continue
		}
		ref, ok := found[l]
		switch {
		case !ok, l.email != "" && !ref.FindableByEmail && ref.ID != payer:
			results[i].Err = errUserNotFound()
			continue
		case ref.Status == StatusClosed:
			results[i].Err, results[i].Closed = errUserNotFound(), true
			continue
		case l.email != "":
			s.foundByEmail.Put(lookUp{payer, l.email}, struct{}{})
		}
		results[i].User = ref
	}
	if err := s.markFormerHandles(ctx, logins, results); err != nil {
		return nil, err
	}
	return results, nil
}

// FindPayee finds one user as [Service.FindPayees] does.
func (s *Service) FindPayee(ctx context.Context, payer UserID, loginOrHandle string) (UserRef, error) {
	results, err := s.FindPayees(ctx, payer, []string{loginOrHandle})
	if err != nil {
		return UserRef{}, err
	}
	return results[0].User, results[0].Err
}

// mayLookUp counts a look-up by e-mail address, and returns an error if it is one too many.
func (s *Service) mayLookUp(ctx context.Context, payer UserID, l login) error {
	if l.email == "" {
		return nil
	}
	if _, again := s.foundByEmail.Get(lookUp{payer, l.email}); again {
		return nil
	}
	return s.throttle.lookUp(ctx, payer)
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
