package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/cache"
)

const (
	defaultLease = 250 * time.Millisecond
	maxCached    = 1 << 16 // entries of each kind
	maxChanges   = 1000    // changes that are read at a time; if there are more, the cache is cleared
	keepChanges  = 10_000  // rows that Prune keeps; a process that is further behind clears its cache
)

// sessionCache caches sessions, API keys and users until they change. A trigger adds each change to
// the table access_changes, in the transaction of the change. The cache reads new changes at most a
// few times per second, and removes the entries that they name.
//
//	look-up ──► cached entry ◄── removed ◄── access_changes
//	                │
//	                └─ used if the changes were read within the lease
//
// Reading the changes returns every change that was committed before. One lease after its
// COMMIT, therefore, no process uses the earlier state. A method whose change must take
// effect everywhere waits that long before it returns: see [Service.waitForCacheExpiry]. The
// cache does not compare the clocks of two machines, only durations.
type sessionCache struct {
	read  func(ctx context.Context, after int64) (changeList, error)
	lease time.Duration

	mu            sync.Mutex
	sessions      *cache.Map[uuid.UUID, sessionState]
	secrets       *cache.Map[[sha256.Size]byte, apiKeySecret] // by the hash of the secret; valid with the entry of keys
	keys          *cache.Map[uuid.UUID, *apiKeyState]
	users         *cache.Map[UserID, UserRef]
	logins        *cache.Map[login, UserID]
	reading       bool
	version       int64     // of the last change that was applied
	readAt        time.Time // start of the last successful reading of the changes
	invalidations uint64    // number of times that entries were removed
}

// changeList contains the changes after a version.
type changeList struct {
	last    int64 // version of the newest change
	changes []change
}

type change struct {
	kind string // session (or API key), user or name
	id   uuid.UUID
}

func newSessionCache(lease time.Duration, read func(context.Context, int64) (changeList, error)) *sessionCache {
	return &sessionCache{
		read: read, lease: lease, version: -1, // before the first change
		sessions: cache.New[uuid.UUID, sessionState](maxCached),
		secrets:  cache.New[[sha256.Size]byte, apiKeySecret](maxCached),
		keys:     cache.New[uuid.UUID, *apiKeyState](maxCached),
		users:    cache.New[UserID, UserRef](maxCached),
		logins:   cache.New[login, UserID](maxCached),
	}
}

// valid reports whether entries may be used: the changes were read within the lease. Once half
// of the lease has passed, valid starts a reading in the background. Without calls of valid,
// nothing is read.
func (c *sessionCache) valid() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := time.Since(c.readAt)
	if age > c.lease/2 && !c.reading {
		c.reading = true
		go c.update()
	}
	return age < c.lease
}

// update reads the changes and removes the entries that they name. If it has missed changes,
// it clears the cache.
func (c *sessionCache) update() {
	c.mu.Lock()
	after := c.version
	c.mu.Unlock()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), lookUpTimeout)
	defer cancel()
	list, err := c.read(ctx, after)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	if err != nil {
		return // the lease expires, and callers query the tables
	}
	if list.last-after != int64(len(list.changes)) {
		c.sessions.Clear()
		c.keys.Clear()
		c.users.Clear()
		c.logins.Clear()
		c.invalidations++
	}
	for _, changed := range list.changes {
		c.apply(changed)
	}
	c.version, c.readAt = list.last, began
}

// apply removes the entries that a change concerns. The caller holds mu.
func (c *sessionCache) apply(changed change) {
	c.invalidations++
	switch changed.kind {
	case "session":
		c.sessions.Forget(changed.id)
		c.keys.Forget(changed.id)
	case "name":
		c.users.Forget(UserID(changed.id))
	default: // rare, so there is no index of the sessions, keys and logins of a user
		c.users.Forget(UserID(changed.id))
		c.sessions.Clear()
		c.keys.Clear()
		c.logins.Clear()
	}
}

// invalidate applies a change of this process at once.
func (c *sessionCache) invalidate(changed change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apply(changed)
}

// beginLookUp is called before a query. The caller passes a function that stores the result to
// keep, which calls it unless entries were removed meanwhile: the query may have missed that
// change.
func (c *sessionCache) beginLookUp() (keep func(put func())) {
	c.mu.Lock()
	before := c.invalidations
	c.mu.Unlock()
	return func(put func()) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.invalidations == before {
			put()
		}
	}
}

// One statement reads the version and the changes, so that they have the same snapshot.
const sqlAccessChanges = `
SELECT v.version, c.kind, c.subject_id
  FROM access_version v
  LEFT JOIN LATERAL (SELECT kind, subject_id FROM access_changes WHERE version > $1 ORDER BY version LIMIT $2) c ON true`

func (s *Service) readChanges(ctx context.Context, after int64) (list changeList, err error) {
	rows, err := s.pool.Query(ctx, sqlAccessChanges, after, maxChanges)
	if err != nil {
		return changeList{}, fmt.Errorf("read changes: %w", err)
	}
	var (
		kind *string
		id   *uuid.UUID
	)
	_, err = pgx.ForEachRow(rows, []any{&list.last, &kind, &id}, func() error {
		if kind != nil {
			list.changes = append(list.changes, change{*kind, *id})
		}
		return nil
	})
	return list, err
}

// waitForCacheExpiry waits for the lease. Afterwards, no process uses cached state from before
// the call.
func (s *Service) waitForCacheExpiry() { time.Sleep(s.cache.lease) }

const sqlPruneChanges = `DELETE FROM access_changes WHERE version <= (SELECT version FROM access_version) - $1`
