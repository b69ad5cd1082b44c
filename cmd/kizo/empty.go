package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// refuseEmpty makes every command refuse empty flags and arguments. They come from a script whose
// variable is not set; treating them as "not given" would mean another server, another user's money
// or a whole list.
func refuseEmpty(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		refuseEmpty(below)
	}
	check := cmd.Args
	if check == nil {
		check = cobra.ArbitraryArgs // which is what nil means below the root
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := emptyFlag(cmd); err != nil {
			return err
		}
		names := strings.Fields(cmd.Use)[1:]
		for i, arg := range args {
			if arg == "" && i < len(names) {
				return withHint(usagef("%s is empty", strings.Trim(names[i], "[]")), cmd.UseLine())
			}
		}
		return check(cmd, args)
	}
}

// emptyFlag returns the error for a flag with an empty value.
func emptyFlag(cmd *cobra.Command) error {
	var empty error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		isEmpty := f.Value.Type() == "string" && f.Value.String() == "" ||
			f.Value.Type() == "stringSlice" && f.Value.String() == "[]"
		if f.Changed && isEmpty && empty == nil {
			empty = withHint(usagef("--%s is empty: give it a value, or leave it out", f.Name), cmd.CommandPath()+" --help")
		}
	})
	return empty
}
