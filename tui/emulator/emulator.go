// Package emulator is a terminal without a window: it turns what a program writes into a grid of
// cells.
//
//	screen := emulator.New(80, 24)
//	io.Copy(screen, pty)
//	screen.Text()               // what a person would read
//	screen.SVG(emulator.Dark)   // and see
//
// Tests use it to read the screen of the real program, and deploy/screenshots to draw the pictures
// in the documentation. It interprets the sequences that Bubble Tea's renderer writes. It counts
// unknown sequences, so that a wrong picture is noticed. It sends no answers and keeps no
// scrollback.
package emulator

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// style is how a cell is painted. A color is "#8fd694", or "" for the terminal's own.
type style struct {
	text, under                     string
	bold, faint, underline, swapped bool
}

// cell is a character and its style; the cell after a wide character is empty.
type cell struct {
	text string
	style
}

// Screen is the terminal. One goroutine may write to it while others read.
type Screen struct {
	mu            sync.Mutex
	width, height int
	cells         [][]cell
	row, column   int
	pen           style
	parser        *ansi.Parser
	rest          []byte // the start of an incomplete sequence
	unknown       []string
}

// maxUnknown limits the unknown sequences that are kept, maxRest an incomplete one.
const (
	maxUnknown = 20
	maxRest    = 64 << 10
)

// New returns a blank screen of this size in cells.
func New(width, height int) *Screen {
	s := &Screen{width: width, height: height, parser: ansi.NewParser()}
	s.erase(0, 0, height-1, width-1)
	return s
}

// Write interprets the output of a program. It never fails.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := slices.Concat(s.rest, p)
	for len(data) > 0 {
		if whole := sequenceLength(data); whole == 0 && len(data) < maxRest {
			break
		}
		sequence, width, n, _ := ansi.DecodeSequence(data, ansi.NormalState, s.parser)
		s.take(string(sequence), width)
		data = data[n:]
	}
	s.rest = slices.Clone(data)
	return len(p), nil
}

// sequenceLength returns 0 if data may be the start of a longer sequence or character.
func sequenceLength(data []byte) int {
	switch {
	case data[0] == 0x1b && len(data) == 1:
		return 0
	case data[0] == 0x1b && data[1] == '[':
		return 1 + slices.IndexFunc(data[2:], func(b byte) bool { return b >= 0x40 && b <= 0x7e })
	case data[0] == 0x1b && data[1] == ']':
		return 1 + max(slices.Index(data, 0x07), strings.Index(string(data), "\x1b\\"))
	case !utf8.FullRune(data):
		return 0
	}
	return 1
}

func (s *Screen) take(sequence string, width int) {
	switch {
	case sequence == "":
	case sequence == "\r":
		s.column = 0
	case sequence == "\n":
		s.down()
	case sequence == "\b":
		s.column = max(0, s.column-1)
	case sequence == "\a":
	case sequence[0] == 0x1b:
		s.order(sequence)
	case width > 0:
		s.print(sequence, width)
	}
}

func (s *Screen) print(text string, width int) {
	if s.column+width > s.width {
		s.column = 0
		s.down()
	}
	s.cells[s.row][s.column] = cell{text, s.pen}
	for i := 1; i < width; i++ {
		s.cells[s.row][s.column+i] = cell{"", s.pen}
	}
	s.column += width
}

func (s *Screen) down() {
	if s.row < s.height-1 {
		s.row++
		return
	}
	s.cells = append(s.cells[1:], nil)
	s.cells[s.height-1] = make([]cell, s.width)
	s.erase(s.height-1, 0, s.height-1, s.width-1)
}

// erase blanks the cells between two positions, both included.
func (s *Screen) erase(fromRow, fromColumn, toRow, toColumn int) {
	for len(s.cells) < s.height {
		s.cells = append(s.cells, make([]cell, s.width))
	}
	for row := fromRow; row <= toRow; row++ {
		first, last := 0, s.width-1
		if row == fromRow {
			first = fromColumn
		}
		if row == toRow {
			last = toColumn
		}
		for column := first; column <= last; column++ {
			s.cells[row][column] = cell{" ", style{under: s.pen.under}}
		}
	}
}

// order executes a control sequence.
func (s *Screen) order(sequence string) {
	first := func(otherwise int) int {
		n, _ := s.parser.Param(0, otherwise)
		return max(n, otherwise)
	}
	command := ansi.Cmd(s.parser.Command())
	switch {
	case strings.HasPrefix(sequence, "\x1b]"), strings.HasPrefix(sequence, "\x1bP"): // titles, the clipboard
	case !strings.HasPrefix(sequence, "\x1b["), command.Intermediate() != 0:
		s.wonder(sequence)
	case command.Prefix() != 0:
		s.mode(sequence, command)
	case command.Final() == 'm':
		s.paint()
	case command.Final() == 'A':
		s.row = max(0, s.row-first(1))
	case command.Final() == 'B':
		s.row = min(s.height-1, s.row+first(1))
	case command.Final() == 'C':
		s.column = min(s.width-1, s.column+first(1))
	case command.Final() == 'D':
		s.column = max(0, s.column-first(1))
	case command.Final() == 'G':
		s.column = min(s.width-1, first(1)-1)
	case command.Final() == 'H':
		column, _ := s.parser.Param(1, 1)
		s.row, s.column = min(s.height-1, first(1)-1), min(s.width-1, max(1, column)-1)
	case command.Final() == 'J', command.Final() == 'K':
		s.clear(command.Final() == 'J', first(0))
	default:
		s.wonder(sequence)
	}
}

// clear executes ED and EL: to the end, from the beginning, or all.
func (s *Screen) clear(screen bool, which int) {
	column := min(s.column, s.width-1)
	fromRow, fromColumn, toRow, toColumn := s.row, column, s.row, s.width-1
	if screen {
		toRow = s.height - 1
	}
	if which > 0 {
		fromColumn = 0
		if screen {
			fromRow = 0
		}
	}
	if which == 1 {
		toRow, toColumn = s.row, column
	}
	s.erase(fromRow, fromColumn, toRow, toColumn)
}

// mode sets what changes no cell: the cursor, the mouse, pasting. The alternate screen is the
// cleared main one.
func (s *Screen) mode(sequence string, command ansi.Cmd) {
	number, _ := s.parser.Param(0, 0)
	switch {
	case command.Prefix() == '?' && number == 1049:
		s.erase(0, 0, s.height-1, s.width-1)
		s.row, s.column = 0, 0
	case command.Prefix() == '?' && (command.Final() == 'h' || command.Final() == 'l'):
	default:
		s.wonder(sequence)
	}
}

func (s *Screen) wonder(sequence string) {
	if len(s.unknown) < maxUnknown {
		s.unknown = append(s.unknown, sequence)
	}
}

// Unknown returns the sequences that were not understood, at most 20.
func (s *Screen) Unknown() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unknown)
}

// Text returns the screen as lines of text, without trailing spaces.
func (s *Screen) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := make([]string, s.height)
	for i, row := range s.cells {
		var line strings.Builder
		for _, c := range row {
			line.WriteString(c.text)
		}
		lines[i] = strings.TrimRight(line.String(), " ")
	}
	return strings.Join(lines, "\n")
}
