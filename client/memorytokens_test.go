package client

import (
	"context"
	"sync"
)

// memoryTokens is a TokenStore in memory.
type memoryTokens struct {
	mu   sync.Mutex
	held Credentials
}

func (m *memoryTokens) Load(context.Context) (Credentials, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held, nil
}

func (m *memoryTokens) Update(_ context.Context, change func(Credentials) (Credentials, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed, err := change(m.held)
	m.held = changed
	return err
}

func (m *memoryTokens) Clear(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = Credentials{}
	return nil
}
