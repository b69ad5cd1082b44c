package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

// tagsFlag is --tag KEY=VALUE, as often as there are tags.
type tagsFlag struct{ given []string }

func (f *tagsFlag) addTo(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.given, "tag", nil, "KEY=VALUE that only you see, such as project=apollo; may be repeated")
}

// tags returns the tags, nil if there are none. The server checks their characters.
func (f *tagsFlag) tags() (*client.Tags, error) {
	if len(f.given) == 0 {
		return nil, nil
	}
	tags := client.Tags{}
	for _, given := range f.given {
		key, value, both := strings.Cut(given, "=")
		if !both {
			return nil, usagef("--tag %q has no value: write it as --tag %s=VALUE", given, given)
		}
		if _, twice := tags[key]; twice {
			return nil, usagef("--tag %s is given twice", key)
		}
		tags[key] = value
	}
	return &tags, nil
}

// tagsText formats tags as they are typed, in the order of their keys.
func tagsText(tags *client.Tags) string {
	if tags == nil {
		return ""
	}
	var words []string
	for _, key := range slices.Sorted(maps.Keys(*tags)) {
		words = append(words, key+"="+(*tags)[key])
	}
	return strings.Join(words, " ")
}
