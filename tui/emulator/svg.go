package emulator

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/muesli/termenv"
)

// paint is SGR: the style of what is printed from here on.
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
			colour, used := "", 0
			switch at(i + 1) {
			case 5:
				colour, used = termenv.ANSI256Color(at(i+2)&0xFF).String(), 2
			case 2:
				colour, used = fmt.Sprintf("#%02x%02x%02x", at(i+2)&0xFF, at(i+3)&0xFF, at(i+4)&0xFF), 4
			}
			if n == 38 {
				s.pen.text = colour
			} else {
				s.pen.under = colour
			}
			i += used
		default:
			s.wonder(fmt.Sprintf("\x1b[%dm", n))
		}
	}
}

func ofSixteen(n int) string { return termenv.ANSIColor(n).String() }

// A cell of the picture, in pixels.
const (
	cellWidth  = 8.4
	cellHeight = 18
	margin     = 14
	paper      = "#101418"
	ink        = "#d5d9e0"
)

// SVG is the screen as a picture that needs no font but the reader's own. Each run of cells of one style is a text of its
// own with a length, so that columns stand below each other in every font.
func (s *Screen) SVG() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.1f %d" font-family="ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace" font-size="14">`+"\n",
		float64(s.width)*cellWidth+2*margin, s.height*cellHeight+2*margin)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", paper)
	for row, cells := range s.cells {
		for from := 0; from < len(cells); {
			to := from + 1
			for to < len(cells) && cells[to].style == cells[from].style {
				to++
			}
			picture(&out, row, from, to, cells[from:to])
			from = to
		}
	}
	out.WriteString("</svg>\n")
	return out.String()
}

// picture draws a run of cells of one style.
func picture(out *strings.Builder, row, from, to int, cells []cell) {
	look := cells[0].style
	text, under := look.text, look.under
	if look.swapped {
		text, under = orElse(under, paper), orElse(text, ink)
	}
	x, y, wide := margin+float64(from)*cellWidth, margin+row*cellHeight, float64(to-from)*cellWidth
	if under != "" {
		fmt.Fprintf(out, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x, y, wide, cellHeight, under)
	}
	var words strings.Builder
	for _, c := range cells {
		words.WriteString(c.text)
	}
	if strings.TrimSpace(words.String()) == "" {
		return
	}
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(words.String()))
	attributes := ""
	if look.bold {
		attributes += ` font-weight="bold"`
	}
	if look.faint {
		attributes += ` opacity="0.6"`
	}
	if look.underline {
		attributes += ` text-decoration="underline"`
	}
	fmt.Fprintf(out, `<text x="%.1f" y="%d" textLength="%.1f" lengthAdjust="spacingAndGlyphs" xml:space="preserve" fill="%s"%s>%s</text>`+"\n",
		x, y+cellHeight-5, wide, orElse(text, ink), attributes, escaped.String())
}

func orElse(colour, otherwise string) string {
	if colour == "" {
		return otherwise
	}
	return colour
}
