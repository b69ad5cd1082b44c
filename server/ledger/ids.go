package ledger

import "sync"

// idMemory remembers which account a wallet is, up to a bound. Accounts are never
// deleted or handed on, so an entry is right for ever.
type idMemory struct {
	mu    sync.RWMutex
	ids   map[walletKey]int64
	bound int
}

func newIDMemory(bound int) *idMemory {
	return &idMemory{ids: make(map[walletKey]int64), bound: bound}
}

func (m *idMemory) get(key walletKey) (int64, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	id, ok := m.ids[key]
	return id, ok
}

func (m *idMemory) put(key walletKey, id int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ids) >= m.bound {
		for old := range m.ids { // any one will do: it costs one look-up to have it back
			delete(m.ids, old)
			break
		}
	}
	m.ids[key] = id
}
