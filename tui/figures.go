package tui

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/JDevAman/kizo/tui/draw"
	"github.com/JDevAman/kizo/tui/theme"
)

// pen is what drawing needs besides the data.
type pen struct {
	theme.Theme
	detail draw.Detail
}

// unknownHere replaces values that the answering server does not know.
const unknownHere = "not known"

func milliseconds(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v < 10:
		return strconv.FormatFloat(v, 'f', 1, 64) + " ms"
	case v < 10_000:
		return strconv.FormatFloat(v, 'f', 0, 64) + " ms"
	}
	return age(time.Duration(v) * time.Millisecond)
}

func perSecond(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v > 0 && v < 10:
		return strconv.FormatFloat(v, 'f', 1, 64) + "/s"
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + "/s"
}

// age formats a duration in its largest unit, such as "14s", "3m" or "2d".
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// sign shows a state as a glyph and a word.
func (p pen) sign(good bool, yes, no string) draw.Pair {
	if good {
		return draw.Pair{Value: p.glyph("✓", "ok") + " " + yes, Paint: p.Good.Render}
	}
	return draw.Pair{Value: p.glyph("✗", "!!") + " " + no, Paint: p.Bad.Render}
}

// glyph returns the sign, or its replacement if the terminal shows ASCII only.
func (p pen) glyph(sign, ascii string) string {
	if p.detail == draw.ASCII {
		return ascii
	}
	return sign
}

// named gives a pair its name.
func named(name string, pair draw.Pair) draw.Pair {
	pair.Name = name
	return pair
}

// box draws a frame in the theme's colors; its body is painted already.
func (p pen) box(title, note, body string, width, height int) string {
	return draw.Box{Title: title, Note: note, Body: body, Width: width, Height: height, Detail: p.detail,
		Border: p.Border.Render, Label: p.Title.Render}.Draw()
}

// figure returns a value of a snapshot, NaN if it is null.
func figure(value *float64) float64 {
	if value == nil {
		return math.NaN()
	}
	return *value
}
