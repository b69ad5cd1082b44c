package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/internal/manual"
)

// manCommand writes the man pages, for packagers.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the man pages into a directory",
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("the name of one directory is needed")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := manualOf(cmd.Root()).Write(args[0])
			return err
		},
	}
}

func manualOf(root *cobra.Command) manual.Program {
	return manual.Program{
		Root: root, Version: version, Section: "8",
		Exit: ".TP\n.B 0\nIt succeeded.\n.TP\n.B 1\nIt failed; stderr says why.\n.TP\n.B 2\nThe arguments or settings are wrong.\n" +
			".TP\n.B 3\nOf\n.BR \"kizod backup check\" :\nthe backup could not be checked.\n.TP\n.B 130\nIt was interrupted before it was complete.",
		Groups: func(cmd *cobra.Command) bool { return cmd.HasSubCommands() },
	}
}
