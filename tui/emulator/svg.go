package emulator

import (
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"
)

// paint executes SGR: it sets the style of the following characters.
func (s *Screen) paint() {
	params := s.parser.Params()
	at := func(i int) int {
		if i >= len(params) {
			return 0
		}
		return params[i].Param(0)
	}
	if len(params) == 0 {
		s.pen = style{}
	}
	for i := 0; i < len(params); i++ {
		switch n := at(i); {
		case n == 0:
			s.pen = style{}
		case n == 1:
			s.pen.bold = true
		case n == 2:
			s.pen.faint = true
		case n == 4:
			s.pen.underline = true
		case n == 7:
			s.pen.swapped = true
		case n == 22:
			s.pen.bold, s.pen.faint = false, false
		case n == 24:
			s.pen.underline = false
		case n == 27:
			s.pen.swapped = false
		case n >= 30 && n <= 37:
			s.pen.text = ofSixteen(n - 30)
		case n >= 90 && n <= 97:
			s.pen.text = ofSixteen(n - 90 + 8)
		case n >= 40 && n <= 47:
			s.pen.under = ofSixteen(n - 40)
		case n >= 100 && n <= 107:
			s.pen.under = ofSixteen(n - 100 + 8)
		case n == 39:
			s.pen.text = ""
		case n == 49:
			s.pen.under = ""
		case n == 38 || n == 48:
			color, used := "", 0
			switch at(i + 1) {
			case 5:
				color, used = termenv.ANSI256Color(at(i+2)&0xFF).String(), 2
			case 2:
				color, used = fmt.Sprintf("#%02x%02x%02x", at(i+2)&0xFF, at(i+3)&0xFF, at(i+4)&0xFF), 4
			}
			if n == 38 {
				s.pen.text = color
			} else {
				s.pen.under = color
			}
			i += used
		default:
			s.wonder(fmt.Sprintf("\x1b[%dm", n))
		}
	}
}

func ofSixteen(n int) string { return termenv.ANSIColor(n).String() }

// The size of a cell in the picture, in pixels.
const (
	cellWidth  = 8.4
	cellHeight = 18
	margin     = 14
)

// Colors are the terminal's own colors.
type Colors struct{ Paper, Ink string }

// Dark and Light are usual colors of terminals.
var (
	Dark  = Colors{"#101418", "#d5d9e0"}
	Light = Colors{"#fdfdfd", "#1d2129"}
)

// SVG returns the screen as a picture that needs no particular font. Each text has a fixed column
// and length, and frames and curves are drawn, so that columns are aligned in every font.
func (s *Screen) SVG(colors Colors) string {
	return s.open(colors) + strings.Join(s.Rows(colors), "") + "</svg>\n"
}

// open returns the beginning of a picture: its size and background.
func (s *Screen) open(colors Colors) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.1f %d" font-family="'DejaVu Sans Mono',ui-monospace,Menlo,Consolas,monospace" font-size="14">`+"\n"+
		`<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", float64(s.width)*cellWidth+2*margin, s.height*cellHeight+2*margin, colors.Paper)
}

// Rows returns the elements of each row of the picture.
func (s *Screen) Rows(colors Colors) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := make([]string, len(s.cells))
	for row, cells := range s.cells {
		var out strings.Builder
		for from := 0; from < len(cells); {
			to := from + 1
			for to < len(cells) && cells[to].style == cells[from].style {
				to++
			}
			picture(&out, colors, row, from, to, cells[from:to])
			from = to
		}
		rows[row] = out.String()
	}
	return rows
}

// picture draws a run of cells of one style.
func picture(out *strings.Builder, colors Colors, row, from, to int, cells []cell) {
	look := cells[0].style
	text, under := look.text, look.under
	if look.swapped {
		text, under = orElse(under, colors.Paper), orElse(text, colors.Ink)
	}
	x, y, wide := margin+float64(from)*cellWidth, margin+row*cellHeight, float64(to-from)*cellWidth
	if under != "" {
		fmt.Fprintf(out, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x, y, wide, cellHeight, under)
	}
	words := words{out: out, y: y + cellHeight - 5, fill: orElse(text, colors.Ink), look: look}
	var dots, lines strings.Builder
	for i, c := range cells {
		left := margin + float64(from+i)*cellWidth
		r, _ := utf8.DecodeRuneInString(c.text)
		switch {
		case r >= 0x2800 && r <= 0x28FF:
			braille(&dots, r-0x2800, left, y)
		case strings.ContainsRune("─│╭╮╰╯┤└", r) && c.text != "":
			frame(&lines, r, left, y)
		default:
			words.add(c.text, left)
			continue
		}
		words.end()
	}
	words.end()
	if dots.Len() > 0 {
		fmt.Fprintf(out, `<path d="%s" fill="%s"/>`+"\n", dots.String(), orElse(text, colors.Ink))
	}
	if lines.Len() > 0 {
		fmt.Fprintf(out, `<path d="%s" fill="none" stroke="%s"/>`+"\n", lines.String(), orElse(text, colors.Ink))
	}
}

// braille draws the dots of a pattern: a font without them would use those of a font of another
// width. Bits are those of Unicode: 1 2 3 7 down the left, 4 5 6 8 down the right.
func braille(path *strings.Builder, pattern rune, x float64, y int) {
	rows, columns := [...]int{0, 1, 2, 0, 1, 2, 3, 3}, [...]int{0, 0, 0, 1, 1, 1, 0, 1}
	for bit := range 8 {
		if pattern>>bit&1 == 1 {
			fmt.Fprintf(path, "M%.1f %.1fh2.4v2.8h-2.4z", x+0.9+float64(columns[bit])*4.2, float64(y)+0.8+float64(rows[bit])*4.5)
		}
	}
}

// frame draws a box character from edge to edge of its cell, so that there is no gap between two.
func frame(path *strings.Builder, r rune, x float64, y int) {
	const w, h = cellWidth, float64(cellHeight)
	top := float64(y)
	switch r {
	case '─':
		fmt.Fprintf(path, "M%.1f %.1fh%.1f", x, top+h/2, w)
	case '│':
		fmt.Fprintf(path, "M%.1f %.1fv%.1f", x+w/2, top, h)
	case '┤':
		fmt.Fprintf(path, "M%.1f %.1fv%.1fM%.1f %.1fh%.1f", x+w/2, top, h, x, top+h/2, w/2)
	case '└':
		fmt.Fprintf(path, "M%.1f %.1fv%.1fh%.1f", x+w/2, top, h/2, w/2)
	case '╭':
		fmt.Fprintf(path, "M%.1f %.1fq0 %.1f %.1f %.1f", x+w/2, top+h, -h/2, w/2, -h/2)
	case '╮':
		fmt.Fprintf(path, "M%.1f %.1fq0 %.1f %.1f %.1f", x+w/2, top+h, -h/2, -w/2, -h/2)
	case '╰':
		fmt.Fprintf(path, "M%.1f %.1fq0 %.1f %.1f %.1f", x+w/2, top, h/2, w/2, h/2)
	case '╯':
		fmt.Fprintf(path, "M%.1f %.1fq0 %.1f %.1f %.1f", x+w/2, top, h/2, -w/2, h/2)
	}
}

// words collects cells into texts of one or more words. A gap begins a new text at its column.
type words struct {
	out  *strings.Builder
	y    int
	fill string
	look style

	text   strings.Builder
	x      float64
	spaces int // at the end of the text
}

func (w *words) add(text string, x float64) {
	if text == " " {
		w.spaces++
		if w.spaces == 2 {
			w.end()
		}
		if w.text.Len() > 0 {
			w.text.WriteString(text)
		}
		return
	}
	w.spaces = 0
	if w.text.Len() == 0 {
		w.x = x
	}
	w.text.WriteString(text)
}

// end writes the text with its required width.
func (w *words) end() {
	text := strings.TrimRight(w.text.String(), " ")
	w.text.Reset()
	if text == "" {
		return
	}
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text))
	attributes := ""
	if w.look.bold {
		attributes += ` font-weight="bold"`
	}
	if w.look.faint {
		attributes += ` opacity="0.6"`
	}
	if w.look.underline {
		attributes += ` text-decoration="underline"`
	}
	fmt.Fprintf(w.out, `<text x="%.1f" y="%d" textLength="%.1f" lengthAdjust="spacingAndGlyphs" fill="%s"%s>%s</text>`+"\n",
		w.x, w.y, float64(ansi.StringWidth(text))*cellWidth, w.fill, attributes, escaped.String())
}

func orElse(color, otherwise string) string {
	if color == "" {
		return otherwise
	}
	return color
}
