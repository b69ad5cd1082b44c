package theme

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"github.com/JDevAman/kizo/internal/testkit"
)

// TestContrast computes the contrast of every pair of colors that a screen can have, by WCAG 2.2
// (1.4.3, 1.4.6). The sixteen basic colors are chosen by the user; the test takes those of xterm
// and the pairs that Kizo sets itself.
func TestContrast(t *testing.T) {
	dark := []string{"#000000", "#0c0c0c", "#1e1e1e", "#002b36", "#282828", "#2e3440"}
	light := []string{"#ffffff", "#fdf6e3", "#f0f0f0"}
	for _, test := range []struct {
		name       string
		palette    palette
		colorPairs []string
		least      float64
	}{
		{"dark", onDark, dark, 4.5},
		{"light", onLight, light, 4.5},
		{"high contrast on dark", strongOnDark, dark, 7},
		{"high contrast on light", strongOnLight, light, 7},
		{"dusk", dusk, dark, 4.5},
		{"paper", paper, light, 4.5},
		{"catppuccin mocha", mocha, []string{"#000000", "#1e1e2e"}, 4.5},
		{"catppuccin latte", latte, []string{"#ffffff", "#eff1f5"}, 4.5},
		{"gruvbox dark", gruvboxDark, []string{"#000000", "#282828"}, 4.5},
		{"gruvbox light", gruvboxLight, []string{"#ffffff", "#fbf1c7"}, 4.5},
		{"solarized dark", solarizedDark, []string{"#000000", "#002b36"}, 4.5},
		{"solarized light", solarizedLight, []string{"#ffffff", "#fdf6e3"}, 4.5},
		{"nord dark", polarNight, []string{"#000000", "#2e3440"}, 4.5},
		{"nord light", snowStorm, []string{"#ffffff", "#eceff4"}, 4.5},
	} {
		p := test.palette
		for role, c := range map[string]color{"dim": p.dim, "title": p.title, "accent": p.accent, "border": p.border,
			"good": p.good, "warn": p.warn, "bad": p.bad} {
			for _, under := range test.colorPairs {
				for _, text := range []string{c.true24, hexOf(t, c.of256)} {
					check(t, test.name+" "+role, text, under, test.least)
				}
			}
			if colorPair := map[bool]string{true: "#000000", false: "#ffffff"}[test.colorPairs[0] == "#000000"]; c.of16 != "" {
				check(t, test.name+" "+role+" of 16", hexOf(t, c.of16), colorPair, test.least)
			}
		}
		for role, g := range map[string]colorPair{"selected": p.selected, "field": p.field, "good": p.goodOn, "warn": p.warnOn, "bad": p.badOn} {
			check(t, test.name+" "+role+" badge", g.text.true24, g.under.true24, test.least)
			check(t, test.name+" "+role+" badge of 256", hexOf(t, g.text.of256), hexOf(t, g.under.of256), test.least)
			check(t, test.name+" "+role+" badge of 16", hexOf(t, g.text.of16), hexOf(t, g.under.of16), test.least)
		}
	}
}

func check(t *testing.T, what, text, under string, least float64) {
	t.Helper()
	if got := contrast(t, text, under); got < least {
		t.Errorf("%s: %s on %s is %.2f:1, less than %.1f:1", what, text, under, got, least)
	}
}

func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// luminance returns the relative luminance of WCAG 2.2.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	rgb, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 32)
	testkit.Must(t, err)
	part := func(shift int) float64 {
		c := float64(rgb>>shift&0xFF) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}

// hexOf returns a color of xterm's table.
func hexOf(t *testing.T, index string) string {
	t.Helper()
	n, err := strconv.Atoi(index)
	testkit.Must(t, err)
	if n < 16 {
		return termenv.ANSIColor(n).String()
	}
	return termenv.ANSI256Color(n).String()
}

func TestContrastIsCounted(t *testing.T) {
	if got := contrast(t, "#000000", "#ffffff"); math.Abs(got-21) > 0.01 {
		t.Errorf("black on white: %f", got)
	}
	if got := contrast(t, "#777777", "#ffffff"); math.Abs(got-4.48) > 0.01 {
		t.Errorf("#777 on white: %f", got)
	}
}

func environment(pairs ...string) func(string) string {
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return values[name] }
}

func TestFromEnvironment(t *testing.T) {
	for _, test := range []struct {
		name, theme string
		env         []string
		want        string // "x" painted as Good
	}{
		{"true color", "auto", []string{"TERM", "xterm-256color", "COLORTERM", "truecolor"}, "\x1b[38;2;143;214;147mx\x1b[0m"},
		{"256 colors", "auto", []string{"TERM", "xterm-256color"}, "\x1b[38;5;114mx\x1b[0m"},
		{"16 colors", "auto", []string{"TERM", "xterm"}, "\x1b[92mx\x1b[0m"},
		{"on light", "auto", []string{"TERM", "xterm-256color", "COLORFGBG", "0;default;15"}, "\x1b[38;5;22mx\x1b[0m"},
		{"on dark", "auto", []string{"TERM", "xterm-256color", "COLORFGBG", "15;0"}, "\x1b[38;5;114mx\x1b[0m"},
		{"light by name", "light", []string{"TERM", "xterm-256color"}, "\x1b[38;5;22mx\x1b[0m"},
		{"no terminal to speak of", "auto", []string{"TERM", "dumb"}, "x"},
		{"mono", "mono", []string{"TERM", "xterm-256color"}, "x"},
		{"NO_COLOR", "auto", []string{"TERM", "xterm-256color", "NO_COLOR", "1"}, "x"},
		{"NO_COLOR over a name", "dark", []string{"TERM", "xterm-256color", "NO_COLOR", "1"}, "x"},
	} {
		painted, err := FromEnvironment(test.theme, environment(test.env...))
		testkit.Must(t, err)
		if got := painted.Good.Render("x"); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		if painted.Name != test.theme {
			t.Errorf("%s: called %s", test.name, painted.Name)
		}
	}
	for _, env := range [][]string{nil, {"NO_COLOR", "1"}} {
		if _, err := FromEnvironment("purple", environment(env...)); err == nil || !strings.Contains(err.Error(), "high-contrast") {
			t.Errorf("a theme that there is not: %v", err)
		}
	}
}

// TestNothingIsLostWithoutColors: mono shows the selected row and the edited text.
func TestNothingIsLostWithoutColors(t *testing.T) {
	painted, err := New("mono", true, termenv.TrueColor)
	testkit.Must(t, err)
	for name, style := range map[string]lipgloss.Style{"selected": painted.Selected, "field": painted.Field, "bad": painted.Bad, "dim": painted.Dim, "badge": painted.BadBadge} {
		got := style.Render("x")
		if got == "x" || strings.Contains(got, "38;") || strings.Contains(got, "48;") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestEveryThemeHasAPalette of its own colors, on a dark and on a light background.
func TestEveryThemeHasAPalette(t *testing.T) {
	for _, name := range Names() {
		for _, dark := range []bool{true, false} {
			if none := paletteOf(name, dark) == (palette{}); none != (name == "mono") {
				t.Errorf("%s, dark %v: no colors is %v", name, dark, none)
			}
		}
	}
}

func TestSkins(t *testing.T) {
	mine, err := NewSkin("mine", map[string]string{"base": "nord", "good": "#00FF00", "selected": "#000000 on #ffffff"})
	testkit.Must(t, err)
	painted, err := FromEnvironment("mine", environment("TERM", "xterm-256color", "COLORTERM", "truecolor"), mine)
	testkit.Must(t, err)
	testkit.Equal(t, "own color", painted.Good.Render("x"), "\x1b[38;2;0;255;0mx\x1b[0m")
	testkit.Equal(t, "the base's color", painted.Warn.Render("x"), "\x1b[38;2;235;203;139mx\x1b[0m")
	testkit.Equal(t, "own pair", painted.Selected.Render("x"), "\x1b[38;2;0;0;0;48;2;255;255;255mx\x1b[0m")
	painted, err = FromEnvironment("mine", environment("TERM", "xterm-256color", "NO_COLOR", "1"), mine)
	testkit.Must(t, err)
	testkit.Equal(t, "NO_COLOR", painted.Good.Render("x"), "x")
	if _, err := FromEnvironment("yours", environment(), mine); err == nil || !strings.Contains(err.Error(), "nord, mine") {
		t.Errorf("%v", err)
	}
	for _, test := range []struct{ name, role, value, want string }{
		{"nord", "good", "#00ff00", "not that of a theme"},
		{"a\x1b[2J", "good", "#00ff00", "must be of a–z"},
		{"mine", "good", "green", "is not a color"},
		{"mine", "good", "#00ff00;31m", "is not a color"},
		{"mine", "selected", "#00ff00", "a text and a background"},
		{"mine", "shiny", "#00ff00", "there is no role"},
		{"mine", "base", "mono", "is not one of"},
	} {
		if _, err := NewSkin(test.name, map[string]string{test.role: test.value}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}
