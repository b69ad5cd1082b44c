package tui

import (
	"context"
	"errors"
	"os"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
	"github.com/JDevAman/kizo/tui/theme"
)

// Config is a dashboard before it runs.
type Config struct {
	Server   Server
	Theme    theme.Theme
	Detail   draw.Detail
	Readonly bool   // nothing that changes something is done
	Currency string // of the default wallet; empty if the user has not chosen one

	// Move writes a command down, sends it and records what became of it, as for every command that moves money. What is for
	// people: "transfer 12.50 USD to @bob".
	Move func(ctx context.Context, command client.Command, what string) (client.Receipt, error)

	ExportDir string // where exports are written
	Tmux      bool   // the terminal is tmux's, which passes the clipboard on only when it is asked to

	In  *os.File
	Out *os.File
	Now func() time.Time
}

// framesPerSecond is how soon a key is seen. What the server tells comes in batches, twenty a second and five summaries at
// most, and nothing is drawn that has not changed: so there are fewer than thirty frames a second, however much happens.
const framesPerSecond = 60

// Run shows the dashboard until the user has enough of it or ctx ends. It does not end because the server does. The error is
// context.Canceled if ctx ended, and a *client.UnknownOutcomeError if it was left while money was on its way.
func Run(ctx context.Context, c Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	terminal := &lockedFile{File: c.Out}
	var program *tea.Program
	told := newFeed(c.Server, c.Now, func(msg any) { program.Send(msg) })
	m := newModel(shared{
		pen: pen{c.Theme, c.Detail}, server: c.Server, readonly: c.Readonly, currency: c.Currency,
		move:   func(command client.Command, what string) (client.Receipt, error) { return c.Move(ctx, command, what) },
		newKey: client.NewKey, exportDir: c.ExportDir, terminal: terminal, inTmux: c.Tmux,
	}, c.Now, told.now)
	program = tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(c.In), tea.WithOutput(terminal), tea.WithAltScreen(),
		tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler(), tea.WithMouseCellMotion())

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		told.run(ctx)
	}()
	_, err := program.Run()
	interrupted := ctx.Err() != nil
	cancel()
	<-stopped
	if key := m.inDoubt(); key != "" && (err == nil || interrupted) {
		return &client.UnknownOutcomeError{Key: key, Err: errors.New("the dashboard was left before the answer came")}
	}
	if interrupted && errors.Is(err, tea.ErrProgramKilled) {
		return context.Canceled
	}
	return err
}

// inDoubt is the key of what was sent and not answered yet; empty mostly.
func (m *model) inDoubt() string {
	for _, p := range m.pages {
		if s, sends := p.screen.(*sendScreen); sends && (s.step == sending || s.step == unknown) {
			return s.command.Key
		}
	}
	return ""
}
