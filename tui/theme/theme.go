// Package theme defines the colors and styles of the dashboard.
//
//	painted, err := theme.FromEnvironment("auto", os.Getenv)
//	painted.Good.Render("✓ posted")
//
// A Theme is a value that is passed down. Color is never the only sign: a state also has a glyph
// and a word, so that mono loses nothing. Texts are readable (WCAG 2, contrast at least 4.5:1; 7:1
// in high-contrast) on every usual background of a terminal of that kind, since most of the screen
// keeps the terminal's own.
//
// Colors are given for true color, 256 and 16 colors; Lip Gloss takes the best that the terminal
// supports. The package imports nothing of Kizo and sends no queries to the terminal.
package theme

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// Names returns the themes. auto is light or dark according to COLORFGBG, and dark without it, and
// so are high-contrast, catppuccin, gruvbox, solarized and nord; with NO_COLOR each is mono.
func Names() []string {
	return []string{"auto", "dark", "dusk", "light", "paper", "high-contrast", "mono", "catppuccin", "gruvbox", "solarized", "nord"}
}

// Theme is a style for each role of text.
type Theme struct {
	Name string // one of Names, or that of a skin

	Plain  lipgloss.Style // most text
	Dim    lipgloss.Style // labels, help, old data
	Title  lipgloss.Style // of a screen or a box
	Accent lipgloss.Style // the focused part
	Key    lipgloss.Style // a key to press
	Border lipgloss.Style

	Good, Warn, Bad lipgloss.Style // states

	Selected lipgloss.Style // the selected row
	Field    lipgloss.Style // text that is being edited

	GoodBadge, WarnBadge, BadBadge lipgloss.Style // short words with a background color
}

// FromEnvironment returns the named theme or skin for this terminal, according to NO_COLOR,
// COLORTERM, TERM and COLORFGBG. The error says that there is no such theme.
func FromEnvironment(name string, env func(string) string, skins ...Skin) (Theme, error) {
	profile, dark := profileOf(env), darkBackground(env("COLORFGBG"))
	i := slices.IndexFunc(skins, func(s Skin) bool { return s.Name == name })
	switch {
	case i < 0 && !slices.Contains(Names(), name):
		return Theme{}, unknown(name, skins)
	case env("NO_COLOR") != "":
		// Bold and reverse remain: NO_COLOR is about colors (no-color.org).
		painted, err := New("mono", true, profile)
		painted.Name = name
		return painted, err
	case i >= 0:
		return skins[i].paint(dark, profile), nil
	}
	return New(name, dark, profile)
}

// New returns the named theme. dark chooses the variant of those that have two.
func New(name string, dark bool, profile termenv.Profile) (Theme, error) {
	if !slices.Contains(Names(), name) {
		return Theme{}, unknown(name, nil)
	}
	painted := paletteOf(name, dark).paint(rendererOf(profile))
	painted.Name = name
	return painted, nil
}

func rendererOf(profile termenv.Profile) *lipgloss.Renderer {
	renderer := lipgloss.NewRenderer(io.Discard)
	renderer.SetColorProfile(profile)
	return renderer
}

// paletteOf returns the colors of a theme; none for mono.
func paletteOf(name string, dark bool) palette {
	variants := map[string][2]palette{
		"auto": {onLight, onDark}, "dark": {onDark, onDark}, "light": {onLight, onLight}, "mono": {},
		"high-contrast": {strongOnLight, strongOnDark}, "dusk": {dusk, dusk}, "paper": {paper, paper},
		"catppuccin": {latte, mocha}, "gruvbox": {gruvboxLight, gruvboxDark}, "solarized": {solarizedLight, solarizedDark}, "nord": {snowStorm, polarNight},
	}
	if dark {
		return variants[name][1]
	}
	return variants[name][0]
}

func unknown(name string, skins []Skin) error {
	names := Names()
	for _, s := range skins {
		names = append(names, s.Name)
	}
	return fmt.Errorf("there is no theme %q; there are: %s", name, strings.Join(names, ", "))
}

// color is one color for three kinds of terminals.
type color struct{ true24, of256, of16 string }

func (c color) terminal() lipgloss.TerminalColor {
	if c == (color{}) {
		return lipgloss.NoColor{}
	}
	return lipgloss.CompleteColor{TrueColor: c.true24, ANSI256: c.of256, ANSI: c.of16}
}

// colorPair is a text color and a background color.
type colorPair struct{ text, under color }

// palette is the colors of a theme. Without colors, styles are bold, faint, underlined and
// reversed.
type palette struct {
	dim, title, accent, border, good, warn, bad color
	selected, field, goodOn, warnOn, badOn      colorPair
}

func (p palette) paint(renderer *lipgloss.Renderer) Theme {
	plain := renderer.NewStyle()
	text := func(c color) lipgloss.Style { return plain.Foreground(c.terminal()) }
	on := func(g colorPair) lipgloss.Style {
		if g == (colorPair{}) {
			return plain.Reverse(true)
		}
		return plain.Foreground(g.text.terminal()).Background(g.under.terminal())
	}
	painted := Theme{
		Plain: plain, Dim: text(p.dim), Title: text(p.title).Bold(true), Accent: text(p.accent).Bold(true),
		Key: text(p.accent).Bold(true), Border: text(p.border),
		Good: text(p.good), Warn: text(p.warn), Bad: text(p.bad).Bold(true),
		Selected: on(p.selected), Field: on(p.field),
		GoodBadge: on(p.goodOn).Bold(true), WarnBadge: on(p.warnOn).Bold(true), BadBadge: on(p.badOn).Bold(true),
	}
	if p == (palette{}) {
		// Without colors, faint text marks old data.
		painted.Dim, painted.Field = plain.Faint(true), plain.Underline(true)
	}
	return painted
}

// profileOf returns what the terminal supports, from its name: a query could take seconds.
func profileOf(env func(string) string) termenv.Profile {
	term, colors := env("TERM"), strings.ToLower(env("COLORTERM"))
	switch {
	case term == "dumb":
		return termenv.Ascii
	case colors == "truecolor", colors == "24bit":
		if strings.HasPrefix(term, "screen") && env("TERM_PROGRAM") != "tmux" {
			return termenv.ANSI256 // GNU screen does not pass true color
		}
		return termenv.TrueColor
	case term == "xterm-kitty", term == "wezterm", term == "xterm-ghostty", strings.HasSuffix(term, "-direct"):
		return termenv.TrueColor
	case strings.Contains(term, "256color"), colors != "":
		return termenv.ANSI256
	}
	return termenv.ANSI
}

// darkBackground reads COLORFGBG, "15;0" or "0;default;15": the last number is the background's.
func darkBackground(colorfgbg string) bool {
	_, last, found := strings.Cut(colorfgbg, ";")
	if i := strings.LastIndex(last, ";"); i >= 0 {
		last = last[i+1:]
	}
	number, err := strconv.Atoi(last)
	return !found || err != nil || number < 7 || number == 8
}
