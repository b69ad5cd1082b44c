package main

import "github.com/spf13/cobra"

func newConfigCommand(a *app) *cobra.Command {
	return newGroup("config", "Settings, and where they come from", newConfigListCommand(a), newConfigGetCommand(a), newConfigSetCommand(a),
		newConfigUnsetCommand(a), newConfigEditCommand(a))
}

type configListOptions struct {
	app        *app
	output     outputFlags
	showOrigin bool
}

func newConfigListCommand(a *app) *cobra.Command {
	opts := &configListOptions{app: a}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the effective settings",
		Long: `Show the effective settings.

The first place that has a setting wins:
  1. a flag, such as --server; then the context that --context names
  2. the environment: KIZO_SERVER, KIZO_CURRENCY, KIZO_CA_FILE, KIZO_CONTEXT
  3. the active context: kizo help contexts
  4. .kizo.toml in this directory or the nearest one above: server and currency only
  5. kizo/config.toml in $XDG_CONFIG_HOME (~/.config)
  6. /etc/kizo/config.toml

With --config FILE (or KIZO_CONFIG), that file is read in place of 4 to 6.`,
		Example: `  kizo config list --show-origin`,
		Args:    takes(""),
		RunE:    func(*cobra.Command, []string) error { return configListRun(opts) },
	}
	opts.output.addTo(cmd, a, configEntry{}, configColumns...)
	cmd.Flags().BoolVar(&opts.showOrigin, "show-origin", false, "show where each setting comes from")
	return cmd
}

var configColumns = []column{{title: "SETTING"}, {title: "VALUE"}, {title: "ORIGIN"}}

type configEntry struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

func configListRun(opts *configListOptions) error {
	config, err := opts.app.config()
	if err != nil {
		return err
	}
	var entries []configEntry
	for _, key := range settings {
		entries = append(entries, configEntry{key, config.of(key).Value, config.of(key).Origin})
	}
	columns := configColumns
	if !opts.showOrigin && (opts.output.format() == "" || opts.app.human()) {
		columns = columns[:2]
	}
	var rows [][]string
	for _, e := range entries {
		rows = append(rows, []string{e.Key, e.Value, e.Origin}[:len(columns)])
	}
	return opts.app.printList(opts.output, entries, columns, rows)
}
