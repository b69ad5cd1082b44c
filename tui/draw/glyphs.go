package draw

import "strings"

// Detail is how fine a terminal's characters draw.
type Detail int

// From the coarsest: seven bits, block elements, braille.
const (
	ASCII Detail = iota
	Blocks
	Braille
)

// Details are the values that KIZO_GLYPHS can have.
func Details() []string { return []string{"ascii", "blocks", "braille"} }

// DetailOf reads it from the environment: a locale that is not UTF-8 gets ASCII, the Linux console, whose font has no
// braille, gets blocks. KIZO_GLYPHS (ascii, blocks, braille) says otherwise.
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
	return Braille // most that have no locale set are containers whose terminal is modern
}

// lines are what boxes and bars are made of.
type lines struct {
	topLeft, topRight, bottomLeft, bottomRight, across, down string
	full, empty, thumb, track, marker                        string
}

func (d Detail) lines() lines {
	if d == ASCII {
		return lines{"+", "+", "+", "+", "-", "|", "#", ".", "#", "|", ">"}
	}
	return lines{"╭", "╮", "╰", "╯", "─", "│", "█", "░", "┃", "│", "▸"}
}
