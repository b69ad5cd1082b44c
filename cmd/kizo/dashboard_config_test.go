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
		"[filter]\nbig = \"x\"": `unknown setting "filter`,
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

func TestDashboardFile(t *testing.T) {
	w := newWorld(t, nil)
	a := &app{io: &streams{}, env: func(key string) string { return w.env[key] }}
	w.write("config/kizo/dashboard.toml", `
theme = "mine"
start = "transfers"
reduced_motion = true
[keys.transfers]
C = "ctrl+t"
G = ["Z", "f9"]
[skins.mine]
base = "nord"
good = "#a3ffa3"
[[commands]]
key = "O"
screen = "transfers"
name = "show the order"
run = ["orders", "--", "{memo}"]
`)
	got, err := a.dashboardConfig()
	testkit.Must(t, err)
	testkit.Equal(t, "the file", fmt.Sprintf("%s %s %v %v %v %s", got.theme, got.custom.Start, got.custom.ReducedMotion, got.custom.Keys, got.custom.Commands, got.skins[0].Name),
		"mine transfers true map[transfers:map[C:[ctrl+t] G:[Z f9]]] [{O transfers show the order [orders -- {memo}]}] mine")
	testkit.Must(t, a.checkTheme("mine"))
	for content, want := range map[string]string{
		"[keys.transfers]\nC = \"V\"":    "V would be",
		"[keys.transfers]\nC = 5":        "must be a quoted string",
		"[skins.mine]\ngood = \"green\"": "is not a color",
		"[skins.mine]\ngood = 3":         "must be a quoted string",
		"start = \"shop\"":               "no screen",
		"[[commands]]\nkey = \"O\"":      "needs key, name and run",
		"[[commands]]\nshell = \"rm\"":   "unknown setting",
		"reduced_motion = \"yes\"":       "dashboard.toml",
	} {
		w.write("config/kizo/dashboard.toml", content)
		if _, err := a.dashboardConfig(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}
