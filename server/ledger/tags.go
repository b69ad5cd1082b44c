package ledger

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/JDevAman/kizo/server/problem"
)

// Limits of the tags of a transfer.
const (
	MaxTags     = 8
	maxTagKey   = 32 // characters
	maxTagValue = 64
)

// Tags are facts that the owner of a transfer keeps with it, such as project=apollo. They are lines
// of key=value in the order of the keys, so that equal tags are equal strings. The empty string has
// none. The other side of the transfer does not see them.
type Tags string

// The characters of a value have no meaning in a shell, a journal or a spreadsheet.
var (
	tagKey   = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	tagValue = regexp.MustCompile(`^[A-Za-z0-9_./@+-]+$`)
)

// NewTags returns tags. It fails with TagsMalformed if there are more than MaxTags, or if a key or
// value is too long or has other characters.
func NewTags(tags map[string]string) (Tags, error) {
	if len(tags) > MaxTags {
		return "", problem.Errorf(TagsMalformed, "a transfer has at most %d tags", MaxTags)
	}
	lines := make([]string, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if len(key) > maxTagKey || !tagKey.MatchString(key) {
			return "", problem.Errorf(TagsMalformed, "the key of a tag is 1 to %d of a-z, 0-9, _ and -, a letter first", maxTagKey)
		}
		if value := tags[key]; len(value) > maxTagValue || !tagValue.MatchString(value) {
			return "", problem.Errorf(TagsMalformed, "the value of a tag is 1 to %d of A-Z, a-z, 0-9 and _ . / @ + -", maxTagValue)
		}
		lines = append(lines, key+"="+tags[key])
	}
	return Tags(strings.Join(lines, "\n")), nil
}

// Map returns the tags by their keys, nil if there are none.
func (t Tags) Map() map[string]string {
	if t == "" {
		return nil
	}
	tags := map[string]string{}
	for line := range strings.SplitSeq(string(t), "\n") {
		key, value, _ := strings.Cut(line, "=")
		tags[key] = value
	}
	return tags
}

// TagFilter returns what a list searches for: a key, or a key and a value as in project=apollo. It
// fails with TagsMalformed.
func TagFilter(text string) (string, error) {
	key, value, both := strings.Cut(text, "=")
	if !both {
		value = "x" // any value
	}
	_, err := NewTags(map[string]string{key: value})
	return text, err
}

// tagLine returns the text that the tags of a transfer contain if they match a filter.
func tagLine(filter string) string {
	if strings.Contains(filter, "=") {
		return "\n" + filter + "\n"
	}
	return "\n" + filter + "="
}
