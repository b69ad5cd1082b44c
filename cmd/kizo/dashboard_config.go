package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/JDevAman/kizo/tui"
)

// dashboardConfig is the user's file dashboard.toml in the configuration directory:
//
//	[filters]
//	refused = "state:refused since:7d"
type dashboardConfig struct {
	filters []tui.SavedFilter // sorted by name
}

// filtersTable begins the names of saved filters.
const filtersTable = "filters."

// maxSavedFilters bounds the tabs of the list of transfers.
const maxSavedFilters = 20

// dashboardConfig reads the file; a missing one is empty.
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
	values, err := parseConfig(content)
	if err != nil {
		return config, usagef("%s: %w", path, err)
	}
	for key, value := range values {
		name, isFilter := strings.CutPrefix(key, filtersTable)
		text, isText := value.(string)
		if !isFilter || name == "" {
			return config, withHint(usagef("%s: unknown setting %q; the file has a table [filters]", path, key), "kizo help environment")
		}
		if !isText || strings.TrimSpace(text) == "" {
			return config, usagef("%s: the filter %s must be a quoted string, such as \"state:refused\"", path, name)
		}
		config.filters = append(config.filters, tui.SavedFilter{Name: name, Filter: text})
	}
	if len(config.filters) > maxSavedFilters {
		return config, usagef("%s: there are %d filters, the most are %d", path, len(config.filters), maxSavedFilters)
	}
	slices.SortFunc(config.filters, func(a, b tui.SavedFilter) int { return strings.Compare(a.Name, b.Name) })
	return config, nil
}
