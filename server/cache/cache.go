// Package cache provides a map with a maximum size, for results that are expensive to
// compute or to query.
//
//	Get ─► entry ─ found ─────► value
//	         └ not found ─────► the caller queries, and calls Put
//	Put ─► space left ────────► stored
//	         └ map is full ───► an arbitrary entry is evicted, the new one is stored
//
// Entries do not expire: the owner of a [Map] decides whether a value is still valid, and
// calls [Map.Forget] or [Map.Clear]. The package imports no other package of Kizo.
package cache

import "sync"

// Map is a map with a maximum number of entries. When it is full, Put evicts an arbitrary
// entry. Safe for concurrent use.
type Map[K comparable, V any] struct {
	mu      sync.RWMutex
	entries map[K]V
	max     int
}

// New returns an empty Map that holds up to maximum entries.
func New[K comparable, V any](maximum int) *Map[K, V] {
	return &Map[K, V]{entries: make(map[K]V), max: maximum}
}

// Get returns the value of key, and whether there is one.
func (m *Map[K, V]) Get(key K) (V, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok := m.entries[key]
	return value, ok
}

// Put stores value under key, and replaces an earlier value.
func (m *Map[K, V]) Put(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, exists := m.entries[key]; !exists && len(m.entries) >= m.max {
		for arbitrary := range m.entries {
			delete(m.entries, arbitrary)
			break
		}
	}
	m.entries[key] = value
}

// Forget removes key, if it is there.
func (m *Map[K, V]) Forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
}

// Clear removes all entries.
func (m *Map[K, V]) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.entries)
}
