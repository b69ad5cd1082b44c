package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/internal/printable"
)

func newConfigGetCommand(a *app) *cobra.Command {
	flags := &outputFlags{}
	cmd := &cobra.Command{
		Use:   "get SETTING",
		Short: "Print one effective setting",
		Long:  "Print one effective setting. The exit code is 5 if no place sets it. With --json, origin says which place does.",
		Example: `  kizo config get currency
  kizo config get server --json=value,origin`,
		Args: takes("SETTING"),
		RunE: func(_ *cobra.Command, args []string) error { return configGetRun(a, *flags, args[0]) },
	}
	flags.addTo(cmd, a, configEntry{}, configColumns...)
	return cmd
}

func configGetRun(a *app, flags outputFlags, key string) error {
	if err := checkChoice(key, settings); err != nil {
		return err
	}
	config, err := a.config()
	if err != nil {
		return err
	}
	found := config.of(key)
	if found.Value == "" {
		return withHint(&exitError{exit: exitNotFound, code: "setting_not_found", err: fmt.Errorf("no place sets %s", key)},
			"kizo config set "+key+" VALUE")
	}
	if flags.format() == "" {
		return a.write(printable.Text(found.Value) + "\n")
	}
	return a.printOne(flags, configEntry{key, found.Value, found.Origin}, configColumns, []string{key, found.Value, found.Origin})
}
