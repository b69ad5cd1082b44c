package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, cmd := range everyCommand(theCommands()) {
		if cmd.Example == "" && !isTopic(cmd) && !isGroup(cmd) {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
	}
}

// sources are the lines of this package without its tests.
func sources(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	testkit.Must(t, err)
	var all bytes.Buffer
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		testkit.Must(t, err)
		all.Write(text)
	}
	return all.String()
}

func TestEveryVariableIsDocumented(t *testing.T) {
	read := slices.Clone(credentialVariables)
	for _, key := range environmentSettings {
		read = append(read, variable(key))
	}
	for _, match := range regexp.MustCompile(`\b(?:env|xdg)\("([A-Za-z_]+)"`).FindAllStringSubmatch(sources(t), -1) {
		read = append(read, match[1])
	}
	if len(read) < 15 {
		t.Errorf("only %d variables were found: %v", len(read), read)
	}
	windows := []string{"ProgramData"}
	for _, name := range read {
		if !slices.ContainsFunc(variables, func(v struct{ name, meaning string }) bool { return v.name == name }) && !slices.Contains(windows, name) {
			t.Errorf("kizo help environment does not have %s", name)
		}
	}
	for _, v := range variables {
		testkit.Contains(t, environmentHelp(), fmt.Sprintf("\n  %-23s %s\n", v.name, v.meaning))
	}
}

func TestEveryExitCodeIsDocumented(t *testing.T) {
	text := exitCodesHelp()
	for _, match := range regexp.MustCompile(`\n\texit[A-Z]\w+ += (\d+)`).FindAllStringSubmatch(sources(t), -1) {
		if !regexp.MustCompile(`(?m)^ +` + match[1] + `  \w`).MatchString(text) {
			t.Errorf("kizo help exit-codes does not have %s", match[1])
		}
	}
}

// scripts are the texts of all scripts.
func scripts(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("testdata/script/*.txtar")
	testkit.Must(t, err)
	var all bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(file)
		testkit.Must(t, err)
		all.Write(text)
	}
	return all.String()
}

func TestEveryExitCodeModeAndTopicHasAScript(t *testing.T) {
	all := scripts(t)
	for _, e := range exitCodes {
		testkit.Contains(t, all, fmt.Sprintf("\nexits %d ", e.code))
	}
	for _, name := range formats {
		testkit.Contains(t, all, "-o "+name)
	}
	for _, mode := range []string{"--json=", "--jq ", "--template ", "--header", "--no-header", "--json=help"} {
		testkit.Contains(t, all, mode)
	}
	for _, topic := range helpTopics(nil) {
		testkit.Contains(t, all, "\nexec kizo help "+topic.Use+"\n")
	}
}

func TestMoneyHelpHasTheDecimals(t *testing.T) {
	testkit.Contains(t, moneyHelp(), "0 decimals:  BIF CLP", "3 decimals:  BHD IQD", "4 decimals:  CLF UYW")
}
