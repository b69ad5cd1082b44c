package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/server/hashworker"
)

const hashWorker = "hash-worker"

// hashWorkerCommand is what kizod starts itself as. It is not for people, and ends
// with its stdin whatever else it is told: its parent drains before it lets go.
func hashWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    hashWorker,
		Short:  "Hash passwords for the kizod that started this",
		Hidden: true,
		Args:   noArguments,
		RunE:   func(*cobra.Command, []string) error { return hashworker.Serve(os.Stdin, os.Stdout) },
	}
}
