package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// throttleKey stands for an account or an address, and does not tell which.
type throttleKey [sha256.Size]byte

// bytes are nil, and so NULL, of no key.
func (k throttleKey) bytes() []byte {
	if k == (throttleKey{}) {
		return nil
	}
	return k[:]
}

func (t *throttle) key(scope, what string) (k throttleKey) {
	mac := hmac.New(sha256.New, t.pepper().Reveal())
	mac.Write([]byte("kizo log-in throttle\x00" + scope + "\x00" + what))
	mac.Sum(k[:0])
	return k
}

// accountKey is the same for every spelling of a login. What can be no login has a
// key as well, and is slowed down like any other.
func (t *throttle) accountKey(who string) throttleKey {
	if l := parseLogin(who); l != (login{}) {
		who = l.email + "@" + l.handle
	}
	return t.key(scopeAccount, who)
}

// addressKey takes the network of an IPv6 address: everybody has 2^64 of those.
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

// blockCache remembers for a moment what the table has said, so that hammering on a
// blocked account costs the database nothing.
type blockCache struct {
	mu      sync.Mutex
	entries map[throttleKey]block
}

type block struct{ until, expires time.Time }

const (
	maxBlocks = 4096
	// blockCacheTTL is short: another process may have seen the right password.
	blockCacheTTL = 2 * time.Second
)

// find tells which scope is blocked, "" if none is known to be.
func (b *blockCache) find(now time.Time, account, address throttleKey) (scope string, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if told := b.entries[address]; now.Before(told.expires) {
		return scopeAddress, told.until
	}
	if told := b.entries[account]; now.Before(told.expires) {
		return scopeAccount, told.until
	}
	return "", time.Time{}
}

// until returns until when key is known to be blocked.
func (b *blockCache) until(key throttleKey, now time.Time) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.entries[key]
	return known.until, now.Before(known.expires)
}

// has tells whether key is known to be blocked.
func (b *blockCache) has(key throttleKey, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.entries[key].expires)
}

func (b *blockCache) remember(key throttleKey, now, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries == nil || len(b.entries) >= maxBlocks { // beginning anew costs a query each
		b.entries = make(map[throttleKey]block)
	}
	believed := now.Add(blockCacheTTL)
	if until.Before(believed) {
		believed = until
	}
	b.entries[key] = block{until, believed}
}

func (b *blockCache) forget(key throttleKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.entries, key)
}
