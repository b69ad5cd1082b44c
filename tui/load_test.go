package tui

import (
	"encoding/binary"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
)

// BenchmarkEvents measures a batch of fifty events, from the message to the frame. At 1,000 events
// per second, there are twenty batches per second.
func BenchmarkEvents(b *testing.B) {
	for _, page := range []string{"1", "2"} {
		b.Run("page "+page, func(b *testing.B) {
			m := dashboard(b)
			m.clock = func() time.Time { return noon }
			m.Update(tea.WindowSizeMsg{Width: 160, Height: 40})
			for _, msg := range append(afterOpening(), keyMsg(page)) {
				m.Update(msg)
			}
			next := uint64(1)
			for b.Loop() {
				var batch []client.Event
				for range 50 {
					t := adasTransfers(1).Items[0]
					binary.BigEndian.PutUint64(t.Id[:8], 1<<62+next)
					next++
					batch = append(batch, client.Event{Type: client.EventTransfer, Transfer: &t})
				}
				m.Update(eventsMsg{batch})
				_ = m.View()
			}
		})
	}
}
