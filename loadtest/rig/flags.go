package rig

import (
	"errors"
	"flag"
	"strings"
)

// SettingsFlag adds -set to flags, which notes PostgreSQL settings in a map.
func SettingsFlag(flags *flag.FlagSet, into map[string]string) {
	flags.Func("set", "a PostgreSQL setting to try, as name=value; may be repeated", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("write it as name=value")
		}
		into[name] = value
		return nil
	})
}
