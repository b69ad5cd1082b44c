package draw

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"
	"github.com/rivo/uniseg"

	"github.com/JDevAman/kizo/internal/printable"
)

// Text is printable.Text restricted to characters that have one width everywhere. It drops a
// symbol's colored form and an emoji's skin tone, writes a flag as its two letters, and the rest as
// escapes.
func Text(s string) string {
	s = printable.Text(s)
	if isASCII(s) {
		return s
	}
	return agreed(plainer.Replace(s))
}

// plainer replaces characters that have a simpler, still readable form.
var plainer = func() *strings.Replacer {
	var forms []string
	forms = append(forms, "\uFE0F", "")
	for skin := '\U0001F3FB'; skin <= '\U0001F3FF'; skin++ {
		forms = append(forms, string(skin), "")
	}
	for letter := range rune(26) {
		forms = append(forms, string('\U0001F1E6'+letter), string('A'+letter))
	}
	return strings.NewReplacer(forms...)
}()

// agreed escapes the characters whose width is counted in two ways, or everything beyond ASCII if
// that is not enough.
func agreed(s string) string {
	var out strings.Builder
	clusters := uniseg.NewGraphemes(s)
	for clusters.Next() {
		cluster := clusters.Str()
		if ansi.StringWidth(cluster) != printable.Width(cluster) {
			cluster = escaped(cluster)
		}
		out.WriteString(cluster)
	}
	if text := out.String(); ansi.StringWidth(text) == printable.Width(text) {
		return text
	}
	return escaped(s)
}

func escaped(s string) string {
	var out strings.Builder
	for _, r := range s {
		if r > unicode.MaxASCII {
			fmt.Fprintf(&out, `\u{%x}`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] > unicode.MaxASCII {
			return false
		}
	}
	return true
}

// TextWidth returns the number of columns of Text(s).
func TextWidth(s string) int { return printable.Width(Text(s)) }

// Cut returns Text(s) in at most width columns. If it cuts text off, the last column is an
// ellipsis.
func Cut(s string, width int) string { return printable.Truncate(Text(s), width) }

// Fit is Cut followed by spaces: exactly width columns.
func Fit(s string, width int) string { return printable.Pad(Cut(s, width), width) }

// FitRight is Fit with the spaces before the text. It aligns numbers.
func FitRight(s string, width int) string { return printable.PadLeft(Cut(s, width), width) }

// Width returns the number of columns of a painted line.
func Width(painted string) int { return ansi.StringWidth(painted) }

// Clip returns a painted line in exactly width columns.
func Clip(painted string, width int) string {
	if width < 1 {
		return ""
	}
	has := ansi.StringWidth(painted)
	if has > width {
		painted = ansi.Truncate(painted, width, "…")
		has = ansi.StringWidth(painted)
	}
	return painted + strings.Repeat(" ", width-has)
}

// Block returns painted lines as exactly height lines of exactly width columns: it cuts off what
// does not fit and fills the rest with spaces.
func Block(lines []string, width, height int) string {
	if height < 1 {
		return ""
	}
	out := make([]string, height)
	for i := range out {
		if i < len(lines) {
			out[i] = Clip(lines[i], width)
		} else {
			out[i] = strings.Repeat(" ", max(0, width))
		}
	}
	return strings.Join(out, "\n")
}

// wordsOf splits a text at its spaces, except those between the digits of a number: "1 456.44" is
// one word.
func wordsOf(s string) (words []string) {
	const digits = "0123456789"
	for word := range strings.FieldsSeq(s) {
		if n := len(words); n > 0 && len(word) >= 3 && strings.Trim(word[:3], digits) == "" &&
			(len(word) == 3 || !strings.ContainsAny(word[3:4], digits)) && strings.ContainsAny(words[n-1][len(words[n-1])-1:], digits) {
			words[n-1] += " " + word
			continue
		}
		words = append(words, word)
	}
	return words
}

// Wrap breaks text at spaces into lines of at most width columns. It splits a word that is longer.
func Wrap(s string, width int) []string {
	if width < 2 {
		return []string{Cut(s, width)} // too narrow for a wide character
	}
	var lines []string
	line := ""
	for _, word := range wordsOf(Text(s)) {
		if line != "" && ansi.StringWidth(line)+1+ansi.StringWidth(word) <= width {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for ansi.StringWidth(word) > width {
			part := ansi.Truncate(word, width, "")
			rest := word[len(part):]
			if part == "" { // one character that is wider than the line
				_, rest, _, _ = uniseg.FirstGraphemeClusterInString(word, -1)
				part = "…"
			}
			lines, word = append(lines, part), rest
		}
		line = word
	}
	return append(lines, line)
}

// Beside places blocks of the same height next to each other.
func Beside(blocks ...string) string {
	if len(blocks) == 0 {
		return ""
	}
	columns := make([][]string, len(blocks))
	height := 0
	for i, block := range blocks {
		columns[i] = strings.Split(block, "\n")
		height = max(height, len(columns[i]))
	}
	lines := make([]string, height)
	for _, column := range columns {
		width := ansi.StringWidth(column[0])
		for i := range lines {
			if i < len(column) {
				lines[i] += column[i]
			} else {
				lines[i] += strings.Repeat(" ", width)
			}
		}
	}
	return strings.Join(lines, "\n")
}

// Stack places blocks of the same width below each other, without empty ones.
func Stack(blocks ...string) string {
	var with []string
	for _, block := range blocks {
		if block != "" {
			with = append(with, block)
		}
	}
	return strings.Join(with, "\n")
}
