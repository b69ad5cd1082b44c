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

// Config configures a dashboard.
type Config struct {
	Server   Server
	Theme    theme.Theme
	Detail   draw.Detail
	Context  string // the name of the context; empty if it has none
	Readonly string // why every change is refused; empty if none is
	Currency string // of the default wallet; empty if the user has not chosen one
	Filters  []SavedFilter
	Custom   Custom // checked by its Check

	// Environment returns the environment of the user's commands, without secrets.
	Environment func() []string

	// Move records a command, sends it and records the result, as every command that moves money
	// does. what describes it to the user: "transfer 12.50 USD to @bob".
	Move func(ctx context.Context, command client.Command, what string) (client.Receipt, error)

	// Unfinished returns the recorded commands of a user at this server without a known outcome.
	Unfinished func(ctx context.Context, me client.User) ([]Unfinished, error)

	Payees PayeeNames

	ExportDir string // the directory of exported files
	Tmux      bool   // the terminal is tmux, which needs the clipboard sequence wrapped

	In  *os.File
	Out *os.File
	Now func() time.Time
}

// framesPerSecond limits the delay between a key and its effect. The feed sends at most 20 batches
// and 5 summaries per second, and unchanged frames are not drawn: so there are fewer than 30 frames
// per second.
const framesPerSecond = 60

// Run shows the dashboard until the user quits or ctx ends. It continues while the server is
// unreachable. The error is context.Canceled if ctx ended, and a *client.UnknownOutcome if the user
// quit while a transfer had no answer yet.
func Run(ctx context.Context, c Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	terminal := &lockedFile{File: c.Out}
	var program *tea.Program
	dataFeed := newFeed(c.Server, c.Now, func(msg any) { program.Send(msg) })
	m := newModel(shared{
		pen: pen{c.Theme, c.Detail}, server: c.Server, context: c.Context, readonly: c.Readonly, currency: c.Currency, saved: c.Filters,
		move:   func(command client.Command, what string) (client.Receipt, error) { return c.Move(ctx, command, what) },
		newKey: client.NewKey, recorded: c.Unfinished, payeeNames: c.Payees, exportDir: c.ExportDir, terminal: terminal, custom: c.Custom, environment: c.Environment, inTmux: c.Tmux,
	}, c.Now, dataFeed.now)
	program = tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(c.In), tea.WithOutput(terminal), tea.WithAltScreen(),
		tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler(), tea.WithMouseCellMotion())

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		dataFeed.run(ctx)
	}()
	_, err := program.Run()
	interrupted := ctx.Err() != nil
	cancel()
	<-stopped
	if key := m.inDoubt(); key != "" && (err == nil || interrupted) {
		return &client.UnknownOutcomeError{Key: key, Err: errors.New("the dashboard was closed before the answer arrived")}
	}
	if interrupted && errors.Is(err, tea.ErrProgramKilled) {
		return context.Canceled
	}
	return err
}

// inDoubt returns the key of a command without an answer; usually empty.
func (m *model) inDoubt() string {
	if m.dialog != nil && m.dialog.inDoubt() {
		return m.dialog.command.Key
	}
	for _, p := range m.pages {
		if s, sends := p.screen.(*sendScreen); sends && s.inDoubt() {
			return s.command.Key
		}
	}
	return ""
}
