package main

import (
	"slices"
	"testing"
)

func TestSplitWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                         nil,
		"  balance  USD ":          {"balance", "USD"},
		`transfer @bob 8 -m "a b"`: {"transfer", "@bob", "8", "-m", "a b"},
		`-m 'it is "so"'`:          {"-m", `it is "so"`},
		`--jq=".a | .b"`:           {"--jq=.a | .b"},
		`-m ""`:                    {"-m", ""},
		`$(x) \ ;`:                 {"$(x)", `\`, ";"},
	} {
		got, err := splitWords(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`"`, `a 'b`} {
		if _, err := splitWords(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestFirstWord(t *testing.T) {
	root := theCommands()
	for want, args := range map[int][]string{
		0:  {"rent", "--json"},
		2:  {"--server", "http://x", "rent"},
		1:  {"--server=http://x", "rent"},
		3:  {"-v", "--color", "never", "rent"},
		-1: {"--help", "rent"},
	} {
		if got := firstWord(root, args); got != want {
			t.Errorf("%q: %d, want %d", args, got, want)
		}
	}
	if got := firstWord(root, nil); got != -1 {
		t.Errorf("no arguments: %d", got)
	}
}
