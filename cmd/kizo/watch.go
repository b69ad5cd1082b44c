package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/internal/printable"
)

const (
	usualWatch = 2 * time.Second
	minWatch   = 200 * time.Millisecond // requests have a rate limit
)

// addWatch adds --watch to a command that only reads. Call it after addTo.
func (f *outputFlags) addWatch(cmd *cobra.Command) {
	var every time.Duration
	cmd.Flags().DurationVar(&every, "watch", 0, "print again after this time until Ctrl-C: on a terminal in place, in a pipe if something changed")
	cmd.Flags().Lookup("watch").NoOptDefVal = usualWatch.String()
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("watch") || f.help {
			return run(cmd, args)
		}
		if every < minWatch {
			return usagef("--watch %s: use at least %s", every, minWatch)
		}
		w := &watch{app: f.app, every: every, sleep: sleep, run: func() error { return run(cmd, args) }}
		if w.onScreen = f.app.human() && f.app.io.OutTerminal; !w.onScreen && f.format() == "" {
			f.chosen = formatJSONL
			f.app.json = true
		}
		return w.loop(cmd.Context())
	}
}

// watch runs a command again and again.
type watch struct {
	app      *app
	every    time.Duration
	run      func() error
	sleep    func(context.Context, time.Duration) error
	onScreen bool // redraws the terminal
	last     string
	lost     bool // the last attempt failed, and the user was informed
}

func (w *watch) loop(ctx context.Context) error {
	for {
		text, err := w.capture()
		switch {
		case ctx.Err() != nil:
			return context.Canceled
		case err == nil:
			w.lost = false
			if err := w.show(text); err != nil {
				return err
			}
		case !transient(err):
			return err
		case !w.lost:
			w.lost = true
			w.app.io.note("kizo: %s; trying again", printable.Text(err.Error()))
		}
		if w.sleep(ctx, w.every) != nil {
			return context.Canceled
		}
	}
}

// capture runs the command once and returns what it prints.
func (w *watch) capture() (string, error) {
	var out bytes.Buffer
	whole := w.app.io
	once := *whole
	once.Out, once.Page = &out, nil
	w.app.io = &once
	err := w.run()
	w.app.io = whole
	return out.String(), err
}

func (w *watch) show(text string) error {
	if !w.onScreen {
		if text == w.last {
			return nil
		}
		w.last = text
		return w.app.write(text)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	// One row is for the heading, and one for the cursor.
	if maxLines := w.app.io.Height - 2; w.app.io.Height > 0 && len(lines) > maxLines {
		shown := max(maxLines-1, 0)
		lines = append(lines[:shown], fmt.Sprintf("… and %d more lines", len(lines)-shown))
	}
	begin := "\x1b[H"
	if w.last == "" {
		begin = "\x1b[2J" + begin
	}
	w.last = text
	heading := fmt.Sprintf("Every %s, last at %s. Ctrl-C ends.", w.every, w.app.now().Format(time.TimeOnly))
	return w.app.write(begin + heading + "\x1b[K\n" + strings.Join(lines, "\x1b[K\n") + "\x1b[K\n\x1b[J")
}
