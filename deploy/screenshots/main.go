// Command screenshots makes the pictures of the dashboard in docs: it starts a real kizod with its
// own data, lets demo users move money, runs the real kizo on a terminal of its own, presses keys,
// and writes the contents of the screen as text and as SVG.
//
//	make screenshots
//
// A picture is taken when the screen shows its subject, not after a pause. The numbers in it are
// those of the run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// shot is a picture: its tab, the keys that are pressed first, and the texts that must be on the
// screen. Curves is the minimum number of characters of curves, and so the minimum length of the
// recorded history.
type shot struct {
	name, tab, keys string
	shows           []string
	curves          int  // on a wide screen
	detail          bool // shows the detail of a row
}

// shots are the pictures in docs, in the order in which they are taken. A picture with something
// open above a tab comes last.
func shots() []shot {
	return []shot{
		{name: "dashboard-queues", tab: "Queues", shows: []string{"● LIVE", "▶ running", "Settlement"}, curves: 60},
		{name: "dashboard-health", tab: "Health", shows: []string{"✓ answers", "mmands per commit"}, curves: 120},
		{name: "dashboard-wallet", tab: "Wallet", shows: []string{"● LIVE", "@bob", "posted"}},
		{name: "dashboard-transfers", tab: "Transfers", keys: "jjjj", detail: true, shows: []string{"● LIVE", "accepted as a"}},
		{name: "dashboard-palette", tab: "Queues", keys: ":task", shows: []string{"kizo ops tasks retry"}},
	}
}

func main() {
	programs := flag.String("bin", "bin", "where kizo and kizod are")
	into := flag.String("out", "docs", "where the pictures go")
	terminals := flag.String("sizes", "120x34", "columns and rows of the terminals; more than one size is a part of the names of the files")
	flag.Parse()
	sizes, err := sizesOf(*terminals)
	if err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *programs, *into, sizes); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

const wait = 90 * time.Second // for a screen to show something

// size is the number of columns and rows of the terminal.
type size struct{ width, height uint16 }

// sizesOf reads sizes such as "80x24,120x40".
func sizesOf(text string) (sizes []size, err error) {
	for part := range strings.SplitSeq(text, ",") {
		var s size
		if n, err := fmt.Sscanf(part, "%dx%d", &s.width, &s.height); n != 2 || err != nil || s.width < 60 || s.height < 15 {
			return nil, fmt.Errorf("%q is not a size of at least 60x15", part)
		}
		sizes = append(sizes, s)
	}
	return sizes, nil
}

func run(ctx context.Context, programs, into string, sizes []size) (err error) {
	w, err := newWorld(ctx, programs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.signUpUsers(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	moved := make(chan error, 1)
	go func() {
		err := w.traffic(ctx)
		stop(err) // without traffic the screen never shows its subject
		moved <- err
	}()
	defer func() {
		stop(nil)
		if failed := <-moved; failed != nil && !errors.Is(failed, context.Canceled) {
			err = errors.Join(failed, err)
		}
	}()

	for _, terminal := range sizes {
		suffix := ""
		if len(sizes) > 1 {
			suffix = fmt.Sprintf("-%dx%d", terminal.width, terminal.height)
		}
		if err := w.shoot(ctx, terminal, into, suffix); err != nil {
			return err
		}
	}
	return nil
}

// shoot takes the pictures of a dashboard on a terminal of a size.
func (w *world) shoot(ctx context.Context, terminal size, into, suffix string) error {
	board, err := w.dashboard(terminal)
	if err != nil {
		return err
	}
	defer board.close()
	for _, s := range shots() {
		if err := board.turn(ctx, s.tab); err != nil {
			return err
		}
		keys := s.keys
		if s.detail && terminal.width < 120 {
			keys += "\r" // opens what a wide screen shows beside the list
		}
		if err := board.press(keys); err != nil {
			return err
		}
		curves := 0
		if terminal.width >= 100 { // a narrow screen has few charts
			curves = s.curves
		}
		if err := board.until(ctx, curves, s.shows...); err != nil {
			return err
		}
		for format, content := range map[string]string{".txt": board.screen.Text() + "\n", ".svg": board.screen.SVG()} {
			if err := os.WriteFile(filepath.Join(into, s.name+suffix+format), []byte(content), 0o644); err != nil { //nolint:gosec // documentation
				return err
			}
		}
		fmt.Println(filepath.Join(into, s.name+suffix+".svg"))
	}
	if unknown := board.screen.Unknown(); len(unknown) > 0 {
		return fmt.Errorf("kizo wrote %q, which the emulator does not know: the pictures may be wrong", strings.Join(unknown, " "))
	}
	return nil
}
