package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/tui"
)

func TestSavedFiltersAreRead(t *testing.T) {
	w := newWorld(t, nil)
	a := &app{io: &streams{}, env: func(key string) string { return w.env[key] }}
	read := func(content string) ([]tui.SavedFilter, string) {
		w.write("config/kizo/dashboard.toml", content)
		config, err := a.dashboardConfig()
		if err != nil {
			return nil, err.Error()
		}
		return config.filters, ""
	}
	if none, err := a.dashboardConfig(); err != nil || len(none.filters) != 0 {
		t.Errorf("without a file: %v, %v", none, err)
	}
	got, problem := read("[filters]\nrefused = \"state:refused\"\nbig = \"amt:>1000\"\n")
	testkit.Equal(t, "filters", fmt.Sprint(got, problem), "[{big amt:>1000} {refused state:refused}]")
	for content, want := range map[string]string{
		"[filters]\nbig = 5":    "must be a quoted string",
		"[filters]\nbig = \"\"": "must be a quoted string",
		"[filter]\nbig = \"x\"": `unknown setting "filter.big"`,
		"[filters":              "dashboard.toml",
	} {
		if _, problem := read(content); !strings.Contains(problem, want) {
			t.Errorf("%q: %q, want %q", content, problem, want)
		}
	}
	var many strings.Builder
	many.WriteString("[filters]\n")
	for i := range maxSavedFilters + 1 {
		fmt.Fprintf(&many, "f%d = \"x\"\n", i)
	}
	if _, problem := read(many.String()); !strings.Contains(problem, "the most are") {
		t.Errorf("%q", problem)
	}
}
