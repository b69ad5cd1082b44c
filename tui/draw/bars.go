package draw

import "math"

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
