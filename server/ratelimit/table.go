package ratelimit

import (
	"sync"
)

// key is the id of a user, or an address.
type key [16]byte

const (
	shards   = 64
	perShard = 512 // leases in one generation of a shard
)

// table holds the lease of each key that was used recently, at most 64 Ki of them. When
// the young generation of a shard is full, it replaces the old generation. A lease that
// is not used while it is in the old generation is evicted. Its unused permits are lost,
// so eviction makes the limit stricter, never looser.
type table struct{ shards [shards]shard }

type shard struct {
	mu         sync.Mutex
	young, old map[key]*lease
	_          [64]byte // keeps the mutexes of two shards out of one cache line
}

func newTable() *table { return &table{} }

// get returns the lease of a key, a new one if there is none.
func (t *table) get(k key) *lease {
	// The last byte of an id is random, and that of an address varies.
	s := &t.shards[(k[15]^k[7]^k[14])%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.young[k]; ok {
		return l
	}
	l, ok := s.old[k]
	if !ok {
		l = &lease{}
	}
	if s.young == nil || len(s.young) >= perShard {
		s.young, s.old = make(map[key]*lease), s.young
	}
	s.young[k] = l
	return l
}
