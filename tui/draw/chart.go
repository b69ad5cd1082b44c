package draw

import (
	"math"
	"strings"
)

// Chart is a filled curve. A NaN means that the value is not known, and leaves a gap.
type Chart struct {
	Values        []float64 // oldest first
	Width, Height int

	FromZero bool // the bottom is 0; without it, the smallest value
	Stretch  bool // few values fill the width; without it, they are aligned at the right
	Detail   Detail
}

// Draw returns exactly Height lines of exactly Width columns. A braille character has two values in
// four steps, a block character one value in eight steps, an ASCII character one value in three
// steps.
func (c Chart) Draw() string {
	if c.Width < 1 || c.Height < 1 {
		return ""
	}
	perColumn, steps := 1, 3
	switch c.Detail {
	case Braille:
		perColumn, steps = 2, 4
	case Blocks:
		steps = 8
	}
	heights := c.heights(c.Width*perColumn, c.Height*steps)
	lines := make([]string, c.Height)
	for row := range lines {
		below := (c.Height - 1 - row) * steps // steps that are drawn in the rows underneath
		var line strings.Builder
		for column := range c.Width {
			filled := make([]int, perColumn)
			for i := range filled {
				filled[i] = min(steps, max(0, heights[column*perColumn+i]-below))
			}
			line.WriteString(c.Detail.bar(filled))
		}
		lines[row] = line.String()
	}
	return strings.Join(lines, "\n")
}

// heights returns the steps of each column: at least 1 for a known value, so that a series of zeros
// is a line.
func (c Chart) heights(columns, steps int) []int {
	values := c.Values
	switch {
	case len(values) > columns:
		values = values[len(values)-columns:]
	case c.Stretch && len(values) > 0:
		stretched := make([]float64, columns)
		for i := range stretched {
			stretched[i] = values[i*len(values)/columns]
		}
		values = stretched
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if known(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	if c.FromZero {
		low = min(0, low)
	}
	heights := make([]int, columns)
	for i, v := range values {
		if !known(v) {
			continue
		}
		height := 1
		if high > low {
			height += int((v - low) / (high - low) * float64(steps-1))
		}
		heights[columns-len(values)+i] = min(steps, height)
	}
	return heights
}

func known(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// bar returns one character whose columns are filled up to the given steps.
func (d Detail) bar(filled []int) string {
	switch d {
	case Braille:
		// Dots are numbered downwards: 1 2 3 7 in the left column, 4 5 6 8 in the right (Unicode,
		// Braille Patterns).
		left := [...]rune{0, 0x40, 0x44, 0x46, 0x47}
		right := [...]rune{0, 0x80, 0xA0, 0xB0, 0xB8}
		dots := left[filled[0]] | right[filled[1]]
		if dots == 0 {
			return " "
		}
		return string(0x2800 + dots)
	case Blocks:
		return string([]rune(" ▁▂▃▄▅▆▇█")[filled[0]])
	}
	return string(" .:#"[filled[0]])
}
