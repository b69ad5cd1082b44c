package ratelimit

import (
	"sync"
)

// key is a user's id or an address.
type key [16]byte

const (
	shards   = 64
	perShard = 512 // of one generation
)

// table holds a lease for each key that was heard of lately, 64 Ki at most. When the
// young generation of a shard is full it becomes the old one, and whoever is in that
// and is not asked for is forgotten with the next: a lease that is forgotten is lost
// to its user, who was granted too little and never too much.
type table struct{ shards [shards]shard }

type shard struct {
	mu         sync.Mutex
	young, old map[key]*lease
	_          [64]byte // a shard's lock is no neighbour's business
}

func newTable() *table { return &table{} }

func (t *table) get(k key) *lease {
	// The last byte is random in an id and varies in an address.
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
