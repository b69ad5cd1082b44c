package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// throttleKey identifies an account or an address without revealing it.
type throttleKey [sha256.Size]byte

// bytes returns nil, which is NULL in SQL, for the zero key.
func (k throttleKey) bytes() []byte {
	if k == (throttleKey{}) {
		return nil
	}
	return k[:]
}

// key returns an HMAC of the scope and the name.
func (t *throttle) key(scope, what string) (k throttleKey) {
	mac := hmac.New(sha256.New, t.pepper().Reveal())
	mac.Write([]byte("kizo log-in throttle\x00" + scope + "\x00" + what))
	mac.Sum(k[:0])
	return k
}

// accountKey returns the same key for every spelling of a login. A text that is no valid login
// has a key too, with the same rule.
func (t *throttle) accountKey(identifier string) throttleKey {
	if l := parseLogin(identifier); l != (login{}) {
		identifier = l.email + "@" + l.handle
	}
	return t.key(scopeAccount, identifier)
}

// addressKey returns the key of an address; for IPv6 that of its /64 network, because a client
// usually has all addresses of one.
func (t *throttle) addressKey(text string) throttleKey {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return throttleKey{}
	}
	address = address.Unmap().WithZone("")
	if address.Is6() {
		network, err := address.Prefix(64)
		if err != nil {
			return throttleKey{}
		}
		address = network.Addr()
	}
	return t.key(scopeAddress, address.String())
}

// blockCache caches blocks for a short time, so that repeated attempts on a blocked account
// need no queries.
type blockCache struct {
	mu      sync.Mutex
	entries map[throttleKey]block
}

// block is a cached block. The entry expires before the block ends, or with it.
type block struct{ until, expires time.Time }

const (
	maxBlocks = 4096
	// blockCacheTTL is short, because the block may end when another process receives the
	// right password.
	blockCacheTTL = 2 * time.Second
)

// find returns the scope that is known to be blocked, or "".
func (b *blockCache) find(now time.Time, account, address throttleKey) (scope string, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if entry := b.entries[address]; now.Before(entry.expires) {
		return scopeAddress, entry.until
	}
	if entry := b.entries[account]; now.Before(entry.expires) {
		return scopeAccount, entry.until
	}
	return "", time.Time{}
}

// until returns the end of the block of key, if it is known to be blocked.
func (b *blockCache) until(key throttleKey, now time.Time) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.entries[key]
	return known.until, now.Before(known.expires)
}

// has reports whether key is known to be blocked.
func (b *blockCache) has(key throttleKey, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.entries[key].expires)
}

func (b *blockCache) remember(key throttleKey, now, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries == nil || len(b.entries) >= maxBlocks { // an entry that is lost costs one query
		b.entries = make(map[throttleKey]block)
	}
	expires := now.Add(blockCacheTTL)
	if until.Before(expires) {
		expires = until
	}
	b.entries[key] = block{until, expires}
}

func (b *blockCache) forget(key throttleKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.entries, key)
}
