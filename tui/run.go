package tui

import (
	"context"
	"errors"
	"io"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/tui/draw"
	"github.com/JDevAman/kizo/tui/theme"
)

// Config is a dashboard before it runs.
type Config struct {
	Server   Server
	Theme    theme.Theme
	Detail   draw.Detail
	Readonly bool // nothing that changes something is done
	Mouse    bool // the wheel moves rows; selecting text is the terminal's again without it

	In  io.Reader
	Out io.Writer
	Now func() time.Time
}

// framesPerSecond bounds drawing, however much happens.
const framesPerSecond = 30

// Run shows the dashboard until the user has enough of it or ctx ends. It does not end because the server does.
func Run(ctx context.Context, c Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var program *tea.Program
	told := newFeed(c.Server, func(msg any) { program.Send(msg) })
	m := newModel(c.Server, pen{c.Theme, c.Detail}, c.Readonly, c.Now, told.now)
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(c.In), tea.WithOutput(c.Out), tea.WithAltScreen(),
		tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler()}
	if c.Mouse {
		options = append(options, tea.WithMouseCellMotion())
	}
	program = tea.NewProgram(m, options...)

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		told.run(ctx)
	}()
	_, err := program.Run()
	interrupted := ctx.Err() != nil
	cancel()
	<-stopped
	if interrupted && errors.Is(err, tea.ErrProgramKilled) {
		return context.Canceled
	}
	return err
}
