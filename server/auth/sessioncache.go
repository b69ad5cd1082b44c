package auth

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/cache"
)

const (
	defaultLease = 250 * time.Millisecond
	maxCached    = 1 << 16 // sessions, and users, that are kept
	maxChanges   = 1000    // that are read at once; where there are more, everything is forgotten instead
	keepChanges  = 10_000  // in the table: whoever is further behind forgets everything
)

// sessionCache keeps what was read of sessions and users for as long as nobody has
// changed them. Whoever changes one adds to a list in the same transaction
// (migrations/0009); sessionCache reads what was added, at most a few times a second,
// and forgets what it names.
//
//	look-up ──► kept ◄── forgotten ◄── list of changes
//	              │
//	            given, if the list was read within a lease
//
// A reading of the list that begins after a change was committed finds it. So one
// lease after its COMMIT no process acts on what was before it, and a change that
// must not be missed by anybody waits that long before it returns: see
// [Service.waitForCacheExpiry]. No clocks are compared, only their pace.
type sessionCache struct {
	read  func(ctx context.Context, after int64) (changeList, error)
	lease time.Duration

	mu            sync.Mutex
	sessions      *cache.Map[uuid.UUID, sessionState]
	users         *cache.Map[uuid.UUID, UserRef]
	logins        *cache.Map[login, uuid.UUID]
	reading       bool
	position      int64     // in the list
	readAt        time.Time // when the last reading that succeeded began
	invalidations uint64    // how often something was forgotten
}

// changeList is the list from a position on.
type changeList struct {
	last    int64 // number of the newest change
	changes []change
}

type change struct {
	kind string // session, user or name
	id   uuid.UUID
}

func newSessionCache(lease time.Duration, read func(context.Context, int64) (changeList, error)) *sessionCache {
	return &sessionCache{
		read: read, lease: lease, position: -1, // behind everything
		sessions: cache.New[uuid.UUID, sessionState](maxCached),
		users:    cache.New[uuid.UUID, UserRef](maxCached),
		logins:   cache.New[login, uuid.UUID](maxCached),
	}
}

// valid tells whether what is kept may be given. It has the list read again when
// the last reading is getting old; nobody waits for that, and where nobody asks
// nothing is read.
func (r *sessionCache) valid() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	age := time.Since(r.readAt)
	if age > r.lease/2 && !r.reading {
		r.reading = true
		go r.update()
	}
	return age < r.lease
}

// update reads the list and forgets what it names; all, where it does not know
// everything that was added.
func (r *sessionCache) update() {
	r.mu.Lock()
	after := r.position
	r.mu.Unlock()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), lookUpTimeout)
	defer cancel()
	n, err := r.read(ctx, after)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading = false
	if err != nil {
		return // what is kept grows old, and the tables are asked
	}
	if n.last-after != int64(len(n.changes)) {
		r.sessions.Clear()
		r.users.Clear()
		r.logins.Clear()
		r.invalidations++
	}
	for _, c := range n.changes {
		r.apply(c)
	}
	r.position, r.readAt = n.last, began
}

func (r *sessionCache) apply(c change) {
	r.invalidations++
	switch c.kind {
	case "session":
		r.sessions.Forget(c.id)
	case "name":
		r.users.Forget(c.id)
	default: // rare: which sessions and log-ins are the user's is not kept
		r.users.Forget(c.id)
		r.sessions.Clear()
		r.logins.Clear()
	}
}

// invalidate forgets at once what this process has changed itself.
func (r *sessionCache) invalidate(c change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.apply(c)
}

// beginLookUp is called before a look-up; what that finds is kept unless something was
// forgotten meanwhile, which it may not have seen.
func (r *sessionCache) beginLookUp() (keep func(put func())) {
	r.mu.Lock()
	before := r.invalidations
	r.mu.Unlock()
	return func(put func()) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.invalidations == before {
			put()
		}
	}
}

// Both in one statement, so that they are of one moment.
const sqlAccessChanges = `
SELECT v.version, c.kind, c.subject_id
  FROM access_version v
  LEFT JOIN LATERAL (SELECT kind, subject_id FROM access_changes WHERE version > $1 ORDER BY version LIMIT $2) c ON true`

func (s *Service) readChanges(ctx context.Context, after int64) (n changeList, err error) {
	rows, err := s.pool.Query(ctx, sqlAccessChanges, after, maxChanges)
	if err != nil {
		return changeList{}, fmt.Errorf("read what changed: %w", err)
	}
	var (
		what *string
		id   *uuid.UUID
	)
	_, err = pgx.ForEachRow(rows, []any{&n.last, &what, &id}, func() error {
		if what != nil {
			n.changes = append(n.changes, change{*what, *id})
		}
		return nil
	})
	return n, err
}

// waitForCacheExpiry returns when no process acts on what it read before now.
func (s *Service) waitForCacheExpiry() { time.Sleep(s.cache.lease) }

const sqlPruneChanges = `DELETE FROM access_changes WHERE version <= (SELECT version FROM access_version) - $1`
