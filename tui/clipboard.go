package tui

import (
	"encoding/base64"
	"io"
	"os"
	"strings"
	"sync"

	tea "github.com/charmbracelet/bubbletea"
)

// copySequence returns the sequence (OSC 52) that puts text into the terminal's clipboard. It works
// over SSH as well. tmux passes it on if it is wrapped, with its escapes doubled.
func copySequence(text string, inTmux bool) string {
	sequence := "\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte(text)) + "\x07"
	if inTmux {
		return "\x1bPtmux;" + strings.ReplaceAll(sequence, "\x1b", "\x1b\x1b") + "\x1b\\"
	}
	return sequence
}

// copiedMsg reports what was sent to the clipboard. Terminals do not confirm it.
type copiedMsg struct {
	what string
	err  error
}

// copy puts text into the clipboard. what names the text for the user.
func (m *shared) copy(what, text string) tea.Cmd {
	out, sequence := m.terminal, copySequence(text, m.inTmux)
	return func() tea.Msg {
		_, err := io.WriteString(out, sequence)
		return copiedMsg{what, err}
	}
}

// lockedFile is a terminal to which two goroutines write frames and sequences, each as a whole.
type lockedFile struct {
	*os.File
	mu sync.Mutex
}

func (f *lockedFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.File.Write(p)
}

// WriteString is Write. Without it, os.File's own method would bypass the lock.
func (f *lockedFile) WriteString(s string) (int, error) { return f.Write([]byte(s)) }
