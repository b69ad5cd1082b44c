package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandTree describes a command for programs.
type commandTree struct {
	Command  string        `json:"command"` // as it is typed: "kizo transfers list"
	Short    string        `json:"short"`
	Usage    string        `json:"usage"`
	Example  string        `json:"example,omitempty"`
	Flags    []flagInfo    `json:"flags"`
	Columns  []string      `json:"columns"` // of tsv and csv
	Fields   []string      `json:"fields"`  // of JSON
	Commands []commandTree `json:"commands"`
}

type flagInfo struct {
	Name    string `json:"name"`
	Short   string `json:"short,omitempty"`
	Type    string `json:"type"`
	Default string `json:"default,omitempty"`
	Usage   string `json:"usage"`
}

func newCommandsCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:     "commands",
		Short:   "Print all commands with their flags, columns and fields as JSON",
		Example: `  kizo commands --jq '.. | .command? // empty'`,
		Args:    takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output.format() == "" {
				output.chosen = formatJSON
			}
			return a.printJSON(output, a.describe(cmd.Root()))
		},
	}
	output.addTo(cmd, a, commandTree{})
	return cmd
}

// describe returns a command and those below it, without the help topics.
func (a *app) describe(cmd *cobra.Command) commandTree {
	tree := commandTree{
		Command: cmd.CommandPath(), Short: cmd.Short, Usage: cmd.UseLine(), Example: cmd.Example,
		Flags: []flagInfo{}, Columns: []string{}, Fields: []string{}, Commands: []commandTree{},
	}
	cmd.InheritedFlags() // merges them into Flags
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		tree.Flags = append(tree.Flags, flagInfo{f.Name, f.Shorthand, f.Value.Type(), f.DefValue, f.Usage})
	})
	for _, d := range a.outputs {
		if d.command == cmd {
			tree.Columns, tree.Fields = columnNames(d.output.columns), append(tree.Fields, d.output.known...)
		}
	}
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			tree.Commands = append(tree.Commands, a.describe(below))
		}
	}
	return tree
}
