package draw

import "strings"

// digitHeight is the number of lines of large digits.
const digitHeight = 3

// largeDigits are drawn with half blocks, which every font of a terminal joins without a gap.
var largeDigits = map[rune][digitHeight]string{
	'0': {"█▀█", "█ █", "▀▀▀"},
	'1': {"▀█ ", " █ ", "▀▀▀"},
	'2': {"▀▀█", "█▀▀", "▀▀▀"},
	'3': {"▀▀█", " ▀█", "▀▀▀"},
	'4': {"█ █", "▀▀█", "  ▀"},
	'5': {"█▀▀", "▀▀█", "▀▀▀"},
	'6': {"█▀▀", "█▀█", "▀▀▀"},
	'7': {"▀▀█", "  █", "  ▀"},
	'8': {"█▀█", "█▀█", "▀▀▀"},
	'9': {"█▀█", "▀▀█", "▀▀▀"},
	'.': {" ", " ", "▄"},
	'-': {"  ", "▀▀", "  "},
	' ': {"", "", ""},
}

// Digits draws a number three lines high, if it has only digits, points, minus signs and spaces,
// fits the width, and the terminal has blocks. Otherwise it returns the text in one line.
func Digits(number string, width int, detail Detail) []string {
	if detail == ASCII {
		return []string{Cut(number, width)}
	}
	var rows [digitHeight][]string
	for _, r := range number {
		digit, ok := largeDigits[r]
		if !ok {
			return []string{Cut(number, width)}
		}
		for i := range rows {
			rows[i] = append(rows[i], digit[i])
		}
	}
	lines := make([]string, digitHeight)
	for i := range rows {
		lines[i] = strings.Join(rows[i], " ")
	}
	if Width(lines[0]) > width {
		return []string{Cut(number, width)}
	}
	return lines
}
