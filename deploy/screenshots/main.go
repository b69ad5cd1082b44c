// Command screenshots makes the pictures of the dashboard in docs: it starts a real kizod with its
// own data, fills it with kizo demo, runs the real kizo on a terminal of its own, presses keys, and
// writes what the screen shows.
//
//	make screenshots
//
//	docs/screens/NAME-WIDTHxHEIGHT-THEME.png   each screen in each size and theme
//	docs/demo.svg                              a walk through the screens, animated
//
// A picture is taken when the screen shows its subject, not after a pause. The numbers in it are
// those of the run. rsvg-convert (librsvg) draws the pictures.
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

	"github.com/JDevAman/kizo/tui/emulator"
)

// shot is a picture: its tab, the keys that are pressed on it, the texts that must then be on the
// screen, and the keys that close what was opened.
type shot struct {
	name, tab, keys string
	shows           []string
	close           string
	curves          int  // the least number of characters of curves, on a wide screen
	detail          bool // shows the detail of a row
}

const (
	enter  = "\r"
	escape = "\x1b"
)

// shots are the pictures, in the order in which they are taken.
func shots() []shot {
	return []shot{
		{name: "queues", tab: "Queues", keys: "hg", shows: []string{"● LIVE", "▶ running", "[review 1]"}, curves: 30},
		{name: "health", tab: "Health", shows: []string{"✓ answers", "mmands per commit"}, curves: 60},
		{name: "wallet", tab: "Wallet", keys: "g", shows: []string{"● LIVE", "posted"}},
		{name: "transfers", tab: "Transfers", keys: "jjjj", detail: true, shows: []string{"● LIVE", "accepted as a"}, close: escape},
		{name: "send", tab: "Send", keys: enter + "@linden_inn" + enter + "48.50", shows: []string{"48.50", "after"}, close: escape},
		{name: "withdraw", tab: "Wallet", keys: "W" + "120" + enter, shows: []string{"$ kizo withdraw"}, close: escape},
		{name: "palette", tab: "Transfers", keys: ":cap", shows: []string{"Command palette"}, close: escape},
		{name: "help", tab: "Queues", keys: "?", shows: []string{"Keys"}, close: escape},
	}
}

func main() {
	programs := flag.String("bin", "bin", "where kizo and kizod are")
	into := flag.String("out", "docs", "where the pictures go")
	terminals := flag.String("sizes", "80x24,120x40,200x50", "columns and rows of the terminals")
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

const wait = 2 * time.Minute // for a screen to show something

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
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	town, err := w.fill(ctx)
	if err != nil {
		return err
	}
	defer func() { stop(); <-town }()                                          //nolint:errcheck // it is stopped
	if err := os.MkdirAll(filepath.Join(into, "screens"), 0o755); err != nil { //nolint:gosec // documentation
		return err
	}
	for _, terminal := range sizes {
		for _, theme := range []string{"dark", "light"} {
			if err := w.shoot(ctx, terminal, theme, filepath.Join(into, "screens")); err != nil {
				return err
			}
		}
	}
	return w.film(ctx, filepath.Join(into, "demo.svg"))
}

func colorsOf(theme string) emulator.Colors {
	if theme == "light" {
		return emulator.Light
	}
	return emulator.Dark
}

// shoot takes the pictures of a dashboard on a terminal of a size.
func (w *world) shoot(ctx context.Context, terminal size, theme, into string) error {
	board, err := w.dashboard(terminal, theme)
	if err != nil {
		return err
	}
	defer board.close()
	for _, s := range shots() {
		if err := board.show(ctx, s, terminal); err != nil {
			return err
		}
		path := filepath.Join(into, fmt.Sprintf("%s-%dx%d-%s.png", s.name, terminal.width, terminal.height, theme))
		if err := writePNG(ctx, path, board.screen.SVG(colorsOf(theme))); err != nil {
			return err
		}
		fmt.Println(path)
		if err := board.press(s.close); err != nil {
			return err
		}
	}
	return board.understood()
}

// show opens the subject of a picture.
func (b *board) show(ctx context.Context, s shot, terminal size) error {
	if err := b.turn(ctx, s.tab); err != nil {
		return err
	}
	keys, curves := s.keys, s.curves
	if terminal.width < 120 {
		curves = 0 // a narrow screen has few charts
		if s.detail {
			keys += enter // opens what a wide screen shows beside the list
		}
	}
	for _, key := range keys { // each is read by itself, as a person types them
		if err := b.press(string(key)); err != nil {
			return err
		}
	}
	return b.until(ctx, curves, s.shows...)
}

func (b *board) understood() error {
	if unknown := b.screen.Unknown(); len(unknown) > 0 {
		return fmt.Errorf("kizo wrote %q, which the emulator does not know: the pictures may be wrong", strings.Join(unknown, " "))
	}
	return nil
}

// film takes an animated picture of a walk through the screens.
func (w *world) film(ctx context.Context, path string) error {
	terminal := size{110, 32}
	board, err := w.dashboard(terminal, "dark")
	if err != nil {
		return err
	}
	defer board.close()
	var movie emulator.Movie
	for _, name := range []string{"wallet", "transfers", "send", "withdraw", "queues", "health", "palette"} {
		for _, s := range shots() {
			if s.name != name {
				continue
			}
			s.curves = 0
			if err := board.show(ctx, s, terminal); err != nil {
				return err
			}
			movie.Add(board.screen, emulator.Dark, 4*time.Second)
			if err := board.press(s.close); err != nil {
				return err
			}
		}
	}
	if err := os.WriteFile(path, []byte(movie.SVG()), 0o644); err != nil { //nolint:gosec // documentation
		return err
	}
	fmt.Println(path)
	return board.understood()
}
