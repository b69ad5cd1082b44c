package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/creack/pty"

	"github.com/JDevAman/kizo/tui/emulator"
)

// board is a running dashboard and its emulated terminal.
type board struct {
	command *exec.Cmd
	file    *os.File
	screen  *emulator.Screen
	drawn   chan struct{}
	ended   chan struct{}
}

func (w *world) dashboard(s size, theme string) (*board, error) {
	b := &board{command: exec.Command(filepath.Join(w.programs, "kizo"), "dashboard", "--context", "demo", "--theme", theme), //nolint:noctx // ended by close
		screen: emulator.New(int(s.width), int(s.height)), drawn: make(chan struct{}, 1), ended: make(chan struct{})}
	b.command.Env = w.environment()
	var err error
	if b.file, err = pty.StartWithSize(b.command, &pty.Winsize{Rows: s.height, Cols: s.width}); err != nil {
		return nil, err
	}
	go func() {
		defer close(b.ended)
		part := make([]byte, 32<<10)
		for {
			n, err := b.file.Read(part)
			_, _ = b.screen.Write(part[:n])
			select {
			case b.drawn <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return b, nil
}

func (b *board) close() {
	_ = b.press("\x03")
	select {
	case <-b.ended:
	case <-time.After(5 * time.Second):
		_ = b.command.Process.Kill()
		<-b.ended
	}
	_ = b.command.Wait()
	b.file.Close()
}

func (b *board) press(keys string) error {
	_, err := b.file.WriteString(keys)
	return err
}

// turn shows a tab by its number, which is shown beside its name.
func (b *board) turn(ctx context.Context, tab string) error {
	number := regexp.MustCompile(`(\d) ` + tab)
	if err := b.until(ctx, 0, tab); err != nil {
		return err
	}
	found := number.FindStringSubmatch(b.screen.Text())
	if found == nil {
		return fmt.Errorf("there is no tab %s:\n%s", tab, b.screen.Text())
	}
	if err := b.press(found[1]); err != nil {
		return err
	}
	return b.until(ctx, 0, "["+found[1]+" "+tab+"]")
}

// quiet is the time without output after which a frame is complete. A frame is larger than the
// terminal's buffer, so that it arrives in several parts.
const quiet = 50 * time.Millisecond

// until waits until the screen shows all of these texts and at least this many characters of
// curves, and the frame is complete.
func (b *board) until(ctx context.Context, curves int, texts ...string) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		shown, missing := b.screen.Text(), ""
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				missing = text
			}
		}
		if drawn := braille(shown); drawn < curves {
			missing = fmt.Sprintf("%d characters of curves (%d so far)", curves, drawn)
		}
		var complete <-chan time.Time
		if missing == "" {
			complete = time.After(quiet)
		}
		select {
		case <-complete:
			return nil
		case <-b.drawn:
		case <-b.ended:
			return errors.New("kizo ended:\n" + b.screen.Text())
		case <-ctx.Done():
			return fmt.Errorf("%q is not shown:\n%s", missing, b.screen.Text())
		}
	}
}

// braille counts the characters that curves are made of.
func braille(text string) (n int) {
	for _, r := range text {
		if r > 0x2800 && r <= 0x28FF {
			n++
		}
	}
	return n
}
