package main

import (
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/internal/manual"
)

// newManCommand writes the man pages, for packagers.
func newManCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the man pages into a directory",
		Hidden: true,
		Example: `  kizo man man
  man -l man/kizo-transfer.1`,
		Args: takes("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := manualOf(cmd.Root()).Write(args[0])
			if err != nil {
				return err
			}
			a.io.note("Wrote %d pages into %s.", n, args[0])
			return nil
		},
	}
}

func manualOf(root *cobra.Command) manual.Program {
	return manual.Program{Root: root, Version: currentVersion().Version, Section: "1", Exit: "See\n.BR kizo\\-exit\\-codes (7).", Groups: isGroup}
}

// isTopic reports whether a command is only a page of kizo help.
func isTopic(cmd *cobra.Command) bool { return manual.IsTopic(cmd) }
