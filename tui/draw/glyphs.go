package draw

import "strings"

// Detail is the finest kind of characters that a terminal can draw.
type Detail int

// Ordered from the coarsest: ASCII, block elements, braille.
const (
	ASCII Detail = iota
	Blocks
	Braille
)

// Details returns the valid values of KIZO_GLYPHS.
func Details() []string { return []string{"ascii", "blocks", "braille"} }

// DetailOf reads the detail from the environment: ASCII for a locale that is not UTF-8, blocks for
// the Linux console, whose font has no braille. KIZO_GLYPHS (ascii, blocks, braille) overrides it.
func DetailOf(env func(string) string) Detail {
	switch strings.ToLower(env("KIZO_GLYPHS")) {
	case "ascii":
		return ASCII
	case "blocks":
		return Blocks
	case "braille":
		return Braille
	}
	locale := env("LC_ALL")
	for _, name := range []string{"LC_CTYPE", "LANG"} {
		if locale == "" {
			locale = env(name)
		}
	}
	locale = strings.ToLower(locale)
	switch {
	case locale != "" && !strings.Contains(locale, "utf-8") && !strings.Contains(locale, "utf8"):
		return ASCII
	case env("TERM") == "linux":
		return Blocks
	}
	return Braille // without a locale: usually a container on a modern terminal
}

// lines are the characters of boxes and bars.
type lines struct {
	topLeft, topRight, bottomLeft, bottomRight, across, down string
	full, empty, thumb, track, marker, mark                  string
}

func (d Detail) lines() lines {
	if d == ASCII {
		return lines{"+", "+", "+", "+", "-", "|", "#", ".", "#", "|", ">", "*"}
	}
	return lines{"╭", "╮", "╰", "╯", "─", "│", "█", "░", "┃", "│", "▸", "•"}
}

// tick is a piece of the vertical axis, marked where it has a label.
func (l lines) tick(marked bool) string {
	switch {
	case l.down == "|" && marked:
		return "+"
	case marked:
		return "┤"
	}
	return l.down
}

// origin is where the axes meet.
func (l lines) origin() string {
	if l.down == "|" {
		return "+"
	}
	return "└"
}
