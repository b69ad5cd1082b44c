package main

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/JDevAman/kizo/tui"
	"github.com/JDevAman/kizo/tui/theme"
)

// dashboardConfig is the user's file dashboard.toml in the configuration directory:
//
//	theme = "nord"             # or the name of a skin; --theme overrides it
//	start = "Transfers"
//	reduced_motion = true
//
//	[filters]
//	refused = "state:refused since:7d"
//
//	[keys.transfers]           # a default key, and the key or keys in its place
//	C = "ctrl+t"
//
//	[skins.mine]
//	base = "nord"
//	good = "#a3ffa3"
//
//	[[commands]]
//	key = "O"
//	screen = "transfers"
//	name = "show the order"
//	run = ["orders", "show", "--", "{memo}"]
type dashboardConfig struct {
	theme   string            // empty: auto
	filters []tui.SavedFilter // sorted by name
	skins   []theme.Skin
	custom  tui.Custom
}

// dashboardFile is the content of the file. Names of keys are case-sensitive, so that viper, whose
// keys are not, cannot read it.
type dashboardFile struct {
	Theme         string                    `toml:"theme"`
	Start         string                    `toml:"start"`
	ReducedMotion bool                      `toml:"reduced_motion"`
	Filters       map[string]any            `toml:"filters"`
	Keys          map[string]map[string]any `toml:"keys"`
	Skins         map[string]map[string]any `toml:"skins"`
	Commands      []dashboardCommand        `toml:"commands"`
}

type dashboardCommand struct {
	Key    string   `toml:"key"`
	Screen string   `toml:"screen"`
	Name   string   `toml:"name"`
	Run    []string `toml:"run"`
}

// The most filters, which are tabs, and the most skins and commands.
const (
	maxSavedFilters = 20
	maxSkins        = 50
	maxCommands     = 50
)

// dashboardConfig reads and checks the file; a missing one is empty.
func (a *app) dashboardConfig() (config dashboardConfig, err error) {
	if a.configDir() == "" {
		return config, nil
	}
	path := filepath.Join(a.configDir(), "dashboard.toml")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return config, nil
	}
	if err != nil {
		return config, usagef("cannot read the configuration: %w", err)
	}
	var file dashboardFile
	decoder := toml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(content, []byte("\ufeff")))).DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(unknown.Errors) > 0 {
			return config, withHint(usagef("%s: unknown setting %q; the file has theme, start, reduced_motion, and the tables filters, keys, skins and commands",
				path, strings.Join(unknown.Errors[0].Key(), ".")), "kizo help dashboard-file")
		}
		return config, usagef("%s: %w", path, err)
	}
	if err := file.check(&config); err != nil {
		return config, withHint(usagef("%s: %w", path, err), "kizo help dashboard-file")
	}
	return config, nil
}

func (f *dashboardFile) check(config *dashboardConfig) error {
	for _, name := range slices.Sorted(maps.Keys(f.Filters)) {
		text, isText := f.Filters[name].(string)
		if !isText || strings.TrimSpace(text) == "" {
			return usagef("the filter %s must be a quoted string, such as \"state:refused\"", name)
		}
		config.filters = append(config.filters, tui.SavedFilter{Name: name, Filter: text})
	}
	for _, part := range []struct {
		name    string
		n, most int
	}{{"filters", len(f.Filters), maxSavedFilters}, {"skins", len(f.Skins), maxSkins}, {"commands", len(f.Commands), maxCommands}} {
		if part.n > part.most {
			return usagef("there are %d %s, the most are %d", part.n, part.name, part.most)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Skins)) {
		colors := map[string]string{}
		for role, value := range f.Skins[name] {
			text, isText := value.(string)
			if !isText {
				return usagef("the skin %s: %s must be a quoted string", name, role)
			}
			colors[role] = text
		}
		skin, err := theme.NewSkin(name, colors)
		if err != nil {
			return err
		}
		config.skins = append(config.skins, skin)
	}
	config.theme = f.Theme
	config.custom = tui.Custom{Start: f.Start, ReducedMotion: f.ReducedMotion, Keys: map[string]map[string][]string{}}
	for screen, replaced := range f.Keys {
		config.custom.Keys[screen] = map[string][]string{}
		for from, to := range replaced {
			keys, ok := wordsOf(to)
			if !ok {
				return usagef("keys.%s: the key in place of %q must be a quoted string, or a list of them", screen, from)
			}
			config.custom.Keys[screen][from] = keys
		}
	}
	for _, c := range f.Commands {
		config.custom.Commands = append(config.custom.Commands, tui.Command(c))
	}
	return config.custom.Check()
}

// wordsOf returns the strings of a value that is one, or a list.
func wordsOf(value any) (words []string, ok bool) {
	if word, isText := value.(string); isText {
		return []string{word}, true
	}
	list, isList := value.([]any)
	for _, item := range list {
		word, isText := item.(string)
		if !isText {
			return nil, false
		}
		words = append(words, word)
	}
	return words, isList
}
