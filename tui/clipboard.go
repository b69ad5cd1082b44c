package tui

import (
	"encoding/base64"
	"io"
	"os"
	"strings"
	"sync"

	tea "github.com/charmbracelet/bubbletea"
)

// copySequence asks the terminal to put text into the clipboard (OSC 52). It works over SSH as well. tmux passes it on when it
// is wrapped, with its escapes doubled.
func copySequence(text string, inTmux bool) string {
	sequence := "\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte(text)) + "\x07"
	if inTmux {
		return "\x1bPtmux;" + strings.ReplaceAll(sequence, "\x1b", "\x1b\x1b") + "\x1b\\"
	}
	return sequence
}

// copiedMsg says what went to the clipboard, as far as that can be known: terminals do not answer.
type copiedMsg struct {
	what string
	err  error
}

// copy puts text into the clipboard.
func (m *shared) copy(what, text string) tea.Cmd {
	out, sequence := m.terminal, copySequence(text, m.inTmux)
	return func() tea.Msg {
		_, err := io.WriteString(out, sequence)
		return copiedMsg{what, err}
	}
}

// lockedFile is a terminal that frames and sequences are written to from two goroutines, each as a whole.
type lockedFile struct {
	*os.File
	mu sync.Mutex
}

func (f *lockedFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.File.Write(p)
}

// WriteString is Write: or os.File's own would pass the lock by.
func (f *lockedFile) WriteString(s string) (int, error) { return f.Write([]byte(s)) }
