package main

import (
	"encoding/json"
	"strings"

	"github.com/JDevAman/kizo/internal/printable"
)

// maxMCPResult is the largest result of a tool, in bytes: an agent has to read all of it.
const maxMCPResult = 64 << 10

// untrustedFields are the JSON fields with text that other people have written.
var untrustedFields = map[string]bool{"memo": true, "name": true}

// untrustedText is such a text. Its place in a result says that it is data.
type untrustedText struct {
	Text string `json:"untrusted_text"`
}

// untrustedJSON returns a value as JSON. Its texts have no control characters, marks that change
// the direction of writing or invisible characters: they are written as \u{202e}. A text that other
// people have written is an object, untrustedText.
func untrustedJSON(value any) (string, error) {
	plain, err := plainJSON(value)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(marked(plain)); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}

// marked cleans all texts of a JSON value, and marks the untrusted ones.
func marked(value any) any {
	switch value := value.(type) {
	case string:
		return printable.Text(value)
	case []any:
		for i := range value {
			value[i] = marked(value[i])
		}
	case map[string]any:
		for name, member := range value {
			if text, isText := member.(string); isText && untrustedFields[name] {
				value[name] = untrustedText{printable.Text(text)}
			} else {
				value[name] = marked(member)
			}
		}
	}
	return value
}
