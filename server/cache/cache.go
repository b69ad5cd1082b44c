// Package cache remembers answers that need not be asked for again. It knows
// nothing of what it keeps: whether an entry is still right is its owner's to say.
package cache

import "sync"

// Map is a map with a bound: when it is full, a new entry takes the place of any
// old one, which costs a look-up to have back. Safe for concurrent use.
type Map[K comparable, V any] struct {
	mu    sync.RWMutex
	kept  map[K]V
	bound int
}

// New makes a Map of at most bound entries.
func New[K comparable, V any](bound int) *Map[K, V] {
	return &Map[K, V]{kept: make(map[K]V), bound: bound}
}

// Get returns what is kept for key, if anything is.
func (m *Map[K, V]) Get(key K) (V, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok := m.kept[key]
	return value, ok
}

// Put keeps value for key.
func (m *Map[K, V]) Put(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.kept[key]; !there && len(m.kept) >= m.bound {
		for any := range m.kept {
			delete(m.kept, any)
			break
		}
	}
	m.kept[key] = value
}

// Forget drops what is kept for key.
func (m *Map[K, V]) Forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.kept, key)
}

// Clear drops everything.
func (m *Map[K, V]) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.kept)
}
