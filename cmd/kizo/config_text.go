package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A configuration file belongs to its user, who may have comments and tables in it. So kizo changes
// one line of its text, and then compares what the text means with what it should mean: a text that
// this file does not understand, such as an inline table, is not changed at all.

var (
	tableHeader = regexp.MustCompile(`^[ \t]*\[[ \t]*"?([A-Za-z0-9_-]+)"?[ \t]*\][ \t]*(#.*)?$`)
	anyHeader   = regexp.MustCompile(`^[ \t]*\[`)
	comment     = regexp.MustCompile(`^[ \t]*#`)

	// The parts of an assignment: its beginning, its value, and what follows.
	assignment = regexp.MustCompile(`^([ \t]*((?:"[^"]*"|[A-Za-z0-9_-]+)(?:[ \t]*\.[ \t]*(?:"[^"]*"|[A-Za-z0-9_-]+))*)[ \t]*=[ \t]*)` +
		`("(?:[^"\\]|\\.)*"|'[^']*'|[^#"']*?)([ \t]*(?:#.*)?)$`)
)

// settingText is the text of a configuration file, line by line.
type settingText struct {
	mark, ending string // a byte order mark, and how lines end
	lines        []string
}

func splitSettings(text string) settingText {
	t := settingText{ending: "\n"}
	if rest, marked := strings.CutPrefix(text, "\ufeff"); marked {
		t.mark, text = "\ufeff", rest
	}
	if strings.Contains(text, "\r\n") {
		t.ending = "\r\n"
	}
	if text = strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n"); text != "" {
		t.lines = strings.Split(text, "\n")
	}
	return t
}

func (t settingText) String() string {
	text := t.mark
	for _, line := range t.lines {
		text += line + t.ending
	}
	return text
}

// withSetting returns a TOML text with a setting replaced, added or, if value is empty, removed.
// Everything else, and comments, stay. A key such as alias.rent can be in its table.
func withSetting(text, key, value string) (string, error) {
	before, err := parseConfig([]byte(text))
	if err != nil {
		return "", err
	}
	t := splitSettings(text)
	at := t.find(key)
	switch {
	case at >= 0 && value == "":
		t.lines = append(t.lines[:at], t.lines[at+1:]...)
	case at >= 0:
		parts := assignment.FindStringSubmatch(t.lines[at])
		t.lines[at] = parts[1] + quoteSetting(key, value) + parts[4]
	case value == "":
		return text, nil
	default:
		t.add(key, value)
	}
	want := maps.Clone(before)
	delete(want, key)
	if value != "" {
		want[key] = value
	}
	edited := t.String()
	got, err := parseConfig([]byte(edited))
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) { // a map is printed in the order of its keys
		return "", usagef("the setting cannot be written to this file: edit it by hand")
	}
	return edited, nil
}

// quoteSetting returns a value in TOML: a JSON string is a TOML basic string.
func quoteSetting(key, value string) string {
	if isSwitch(key) {
		return value
	}
	var quoted bytes.Buffer
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // a string always has an encoding
	return strings.TrimSuffix(quoted.String(), "\n")
}

// hasTable reports whether a line begins a table, whose name ends in a dot here.
func (t settingText) hasTable(name string) bool {
	return slices.ContainsFunc(t.lines, func(line string) bool {
		header := tableHeader.FindStringSubmatch(line)
		return header != nil && strings.EqualFold(header[1]+".", name)
	})
}

// find returns the index of the line that assigns a key, or -1. Keys have no upper and lower case.
func (t settingText) find(key string) int {
	table := ""
	for i, line := range t.lines {
		if header := tableHeader.FindStringSubmatch(line); header != nil {
			table = header[1] + "."
		} else if anyHeader.MatchString(line) {
			table = "?." // [a.b] and [[a]]: no table of settings
		}
		parts := assignment.FindStringSubmatch(line)
		if parts == nil {
			continue
		}
		words := strings.Split(parts[2], ".")
		for n, word := range words {
			words[n] = strings.Trim(strings.TrimSpace(word), `"`)
		}
		if strings.EqualFold(table+strings.Join(words, "."), key) {
			return i
		}
	}
	return -1
}

// add adds an assignment behind the others of its table, or of the file if it has no such table.
func (t *settingText) add(key, value string) {
	name, short, _ := strings.Cut(key, ".")
	table, inTable, root := "", -1, 0
	for i, line := range t.lines {
		if header := tableHeader.FindStringSubmatch(line); header != nil {
			table = header[1]
		} else if anyHeader.MatchString(line) {
			table = "?"
		}
		switch isSet := assignment.MatchString(line); {
		case table == "" && isSet:
			root = i + 1
		case short != "" && strings.EqualFold(table, name) && (isSet || anyHeader.MatchString(line)):
			inTable = i + 1
		}
	}
	line, at := key+" = "+quoteSetting(key, value), root
	if inTable >= 0 {
		line, at = short+" = "+quoteSetting(key, value), inTable
	} else if root == 0 {
		at = t.beforeTables()
	}
	t.lines = append(t.lines[:at], append([]string{line}, t.lines[at:]...)...)
}

// beforeTables returns the index of the first table with the comments above it, or the number of
// lines without a table.
func (t settingText) beforeTables() int {
	for i, line := range t.lines {
		if !anyHeader.MatchString(line) {
			continue
		}
		for i > 0 && comment.MatchString(t.lines[i-1]) {
			i--
		}
		return i
	}
	return len(t.lines)
}
