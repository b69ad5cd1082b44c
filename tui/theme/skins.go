package theme

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/muesli/termenv"
)

// The colors of well-known themes for editors and terminals. Where their own color for a role has a
// contrast of less than 4.5:1 on their background, it is a lighter or a darker one of the same hue.
var (
	dusk = skinOf(onDark, map[string]string{"dim": "#b3a7c4", "title": "#f3ecff", "accent": "#c9a6ff", "border": "#b3a9c4", "good": "#8fdcb4",
		"warn": "#f5c97a", "bad": "#ff9eb1", "selected": "#ffffff on #4b3673", "field": "#ffffff on #3a3350"})
	paper = skinOf(onLight, map[string]string{"dim": "#5d5648", "title": "#1f1a10", "accent": "#7a3b00", "border": "#6f6656", "good": "#2f5a14",
		"warn": "#6b4700", "bad": "#98150c", "selected": "#ffffff on #6b3a0a", "field": "#1f1a10 on #e8dfca"})
	mocha = skinOf(onDark, map[string]string{"dim": "#a6adc8", "title": "#cdd6f4", "accent": "#89b4fa", "border": "#9399b2", "good": "#a6e3a1",
		"warn": "#f9e2af", "bad": "#f38ba8", "selected": "#cdd6f4 on #45475a", "field": "#cdd6f4 on #313244"})
	latte = skinOf(onLight, map[string]string{"dim": "#5c5f77", "title": "#4c4f69", "accent": "#1a58d6", "border": "#5c5f77", "good": "#2b6f1e",
		"warn": "#8a5200", "bad": "#c00c34", "selected": "#ffffff on #1a58d6", "field": "#4c4f69 on #e6e9ef"})
	gruvboxDark = skinOf(onDark, map[string]string{"dim": "#bdae93", "title": "#fbf1c7", "accent": "#83a598", "border": "#a89984", "good": "#b8bb26",
		"warn": "#fabd2f", "bad": "#ff8a78", "selected": "#fbf1c7 on #504945", "field": "#fbf1c7 on #3c3836"})
	gruvboxLight = skinOf(onLight, map[string]string{"dim": "#665c54", "title": "#282828", "accent": "#076678", "border": "#665c54", "good": "#5f5c06",
		"warn": "#8a4a04", "bad": "#9d0006", "selected": "#fbf1c7 on #076678", "field": "#282828 on #ebdbb2"})
	solarizedDark = skinOf(onDark, map[string]string{"dim": "#93a1a1", "title": "#eee8d5", "accent": "#4fb0f0", "border": "#93a1a1", "good": "#a3b800",
		"warn": "#d9a400", "bad": "#ff8f8a", "selected": "#fdf6e3 on #0f5a75", "field": "#eee8d5 on #073642"})
	solarizedLight = skinOf(onLight, map[string]string{"dim": "#53676e", "title": "#073642", "accent": "#1a659e", "border": "#5b6e75", "good": "#566300",
		"warn": "#7a5c00", "bad": "#b3211e", "selected": "#fdf6e3 on #1a659e", "field": "#073642 on #eee8d5"})
	polarNight = skinOf(onDark, map[string]string{"dim": "#c3ccda", "title": "#eceff4", "accent": "#88c0d0", "border": "#a9b4c6", "good": "#a3be8c",
		"warn": "#ebcb8b", "bad": "#f0a5ab", "selected": "#eceff4 on #4c566a", "field": "#eceff4 on #434c5e"})
	snowStorm = skinOf(onLight, map[string]string{"dim": "#4c566a", "title": "#2e3440", "accent": "#3b5f8f", "border": "#5a6478", "good": "#3f6330",
		"warn": "#7a5410", "bad": "#8f1f2c", "selected": "#eceff4 on #3b5f8f", "field": "#2e3440 on #e5e9f0"})
)

// Skin is a theme of a user: a built-in theme with other colors for some roles.
type Skin struct {
	Name string
	base string
	own  map[string]string
}

var (
	hexForm  = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)
)

// textRoles are the roles of Skin with a text color, pairRoles those with a text color and a
// background: "#ffffff on #1f4e79".
func textRoles() []string { return []string{"dim", "title", "accent", "border", "good", "warn", "bad"} }
func pairRoles() []string {
	return []string{"selected", "field", "good_badge", "warn_badge", "bad_badge"}
}

// NewSkin returns a skin. colors has a color for each role that differs from the theme "base",
// which is auto if it is not there. The errors say what a skin may contain.
func NewSkin(name string, colors map[string]string) (Skin, error) {
	s := Skin{Name: name, base: "auto", own: map[string]string{}}
	if !nameForm.MatchString(name) || slices.Contains(Names(), name) {
		return s, fmt.Errorf("the name of the skin %q must be of a–z, 0–9, _ and -, and not that of a theme", name)
	}
	for _, role := range slices.Sorted(maps.Keys(colors)) {
		value := colors[role]
		text, under, pair := strings.Cut(value, " on ")
		switch {
		case role == "base" && slices.Contains(Names(), value) && value != "mono":
			s.base = value
			continue
		case role == "base":
			return s, fmt.Errorf("the skin %s: base %q is not one of %s", name, value, strings.Join(Names(), ", "))
		case slices.Contains(textRoles(), role) && hexForm.MatchString(value):
		case slices.Contains(pairRoles(), role) && pair && hexForm.MatchString(text) && hexForm.MatchString(under):
		case slices.Contains(textRoles(), role):
			return s, fmt.Errorf("the skin %s: %s = %q is not a color such as \"#7dcfff\"", name, role, value)
		case slices.Contains(pairRoles(), role):
			return s, fmt.Errorf("the skin %s: %s = %q is not a text and a background such as \"#ffffff on #1f4e79\"", name, role, value)
		default:
			return s, fmt.Errorf("the skin %s: there is no role %q; there are: base, %s", name, role, strings.Join(append(textRoles(), pairRoles()...), ", "))
		}
		s.own[role] = value
	}
	return s, nil
}

func (s Skin) paint(dark bool, profile termenv.Profile) Theme {
	painted := skinOf(paletteOf(s.base, dark), s.own).paint(rendererOf(profile))
	painted.Name = s.Name
	return painted
}

// skinOf returns a palette with other colors for some roles. On terminals of 16 colors, whose user
// has chosen them, it is the palette.
func skinOf(base palette, own map[string]string) palette {
	texts := map[string]*color{"dim": &base.dim, "title": &base.title, "accent": &base.accent, "border": &base.border,
		"good": &base.good, "warn": &base.warn, "bad": &base.bad}
	pairs := map[string]*colorPair{"selected": &base.selected, "field": &base.field, "good_badge": &base.goodOn, "warn_badge": &base.warnOn, "bad_badge": &base.badOn}
	for role, value := range own {
		if c, isText := texts[role]; isText {
			*c = c.as(value)
			continue
		}
		text, under, _ := strings.Cut(value, " on ")
		p := pairs[role]
		p.text, p.under = p.text.as(text), p.under.as(under)
	}
	return base
}

// as returns the color with another true color, and the nearest of 256.
func (c color) as(hex string) color {
	c.true24 = strings.ToLower(hex)
	if nearest, ok := termenv.ANSI256.Color(hex).(termenv.ANSI256Color); ok {
		c.of256 = fmt.Sprint(int(nearest))
	}
	return c
}
