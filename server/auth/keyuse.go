package auth

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/cache"
)

const (
	keyUseInterval     = time.Minute // between two notes of the use of one key, in a process
	keyRefusalInterval = time.Hour   // between two recorded refusals of one key, in a process
	maxNotedKeyUses    = 4096        // notes that wait; further ones are dropped
)

// keyUses writes when keys were last used, and records refused uses for their users. Neither is
// part of a request: notes wait for the goroutine that writes them, which ends when none is left.
//
//	request ─► note (at most one per key and minute) ──► one UPDATE for all that wait
//	refusal ─► note (at most one per key and hour) ────► one INSERT for all that wait
//
// A note that cannot be written is lost.
type keyUses struct {
	pool    *pgxpool.Pool
	used    *cache.Map[uuid.UUID, time.Time] // when a use of the key was last noted
	refused *cache.Map[uuid.UUID, time.Time] // when a refusal of the key was last noted

	mu       sync.Mutex
	uses     map[uuid.UUID]keyUse
	refusals map[uuid.UUID]keyUse
	writing  bool
	idle     sync.Cond // of mu: broadcast when the goroutine ends
}

type keyUse struct {
	at     time.Time
	client Client
	detail string
}

func newKeyUses(pool *pgxpool.Pool) *keyUses {
	u := &keyUses{pool: pool, used: cache.New[uuid.UUID, time.Time](maxCached), refused: cache.New[uuid.UUID, time.Time](maxNotedKeyUses)}
	u.idle.L = &u.mu
	return u
}

// note notes the use of a key, unless a use within the last minute was noted.
func (u *keyUses) note(key uuid.UUID, now time.Time, client Client) {
	if last, ok := u.used.Get(key); ok && now.Sub(last) < keyUseInterval {
		return
	}
	u.used.Put(key, now)
	u.add(&u.uses, key, keyUse{at: now, client: client.clean()})
}

// noteRefusal records a security event for the refused use of a key, at most one per key and hour.
func (u *keyUses) noteRefusal(key uuid.UUID, detail string, now time.Time, client Client) {
	if last, ok := u.refused.Get(key); ok && now.Sub(last) < keyRefusalInterval {
		return
	}
	u.refused.Put(key, now)
	u.add(&u.refusals, key, keyUse{at: now, client: client.clean(), detail: detail})
}

func (u *keyUses) add(notes *map[uuid.UUID]keyUse, key uuid.UUID, use keyUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(*notes) >= maxNotedKeyUses {
		return
	}
	if *notes == nil {
		*notes = make(map[uuid.UUID]keyUse)
	}
	(*notes)[key] = use
	if !u.writing {
		u.writing = true
		go u.write()
	}
}

// write writes the notes until none waits.
func (u *keyUses) write() {
	for {
		u.mu.Lock()
		uses, refusals := u.uses, u.refusals
		u.uses, u.refusals = nil, nil
		if len(uses)+len(refusals) == 0 {
			u.writing = false
			u.idle.Broadcast()
			u.mu.Unlock()
			return
		}
		u.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
		u.exec(ctx, sqlNoteKeyUses, uses)
		u.exec(ctx, sqlRecordKeyRefusals, refusals)
		cancel()
	}
}

// wait waits until every note has been written or lost.
func (u *keyUses) wait() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.writing {
		u.idle.Wait()
	}
}

const (
	// In the order of the ids, and without waiting: two processes may note the same keys.
	sqlNoteKeyUses = `
UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, n.at), last_address = n.address
  FROM (SELECT x.id, n.at, n.address
          FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[]) AS n (id, at, address, client, detail)
          JOIN api_keys x ON x.id = n.id
         ORDER BY x.id FOR NO KEY UPDATE OF x SKIP LOCKED) n
 WHERE k.id = n.id`

	sqlRecordKeyRefusals = `
INSERT INTO security_events (at, user_id, event, client, address, detail)
SELECT n.at, k.user_id, 'key_refused', n.client, n.address, k.name || ': ' || n.detail
  FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[]) AS n (id, at, address, client, detail)
  JOIN api_keys k ON k.id = n.id
 ORDER BY k.id -- two processes make the notices of the same users`
)

func (u *keyUses) exec(ctx context.Context, sql string, notes map[uuid.UUID]keyUse) {
	if len(notes) == 0 {
		return
	}
	var (
		ids                         []uuid.UUID
		at                          []time.Time
		addresses, clients, details []string
	)
	for id, use := range notes {
		ids, at = append(ids, id), append(at, use.at)
		addresses, clients, details = append(addresses, use.client.Address), append(clients, use.client.UserAgent), append(details, use.detail)
	}
	_, _ = u.pool.Exec(ctx, sql, asBytes(ids), at, addresses, clients, details)
}
