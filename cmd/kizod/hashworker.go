package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/server/hashworker"
)

const hashWorker = "hash-worker"

// hashWorkerCommand is the child process that hashes passwords. kizod starts it; users do not. It
// ends when its stdin is closed and ignores signals to end, since its parent needs it while it
// drains.
func hashWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    hashWorker,
		Short:  "Hash passwords for the kizod that started this process",
		Hidden: true,
		Args:   noArguments,
		RunE:   func(*cobra.Command, []string) error { return hashworker.Serve(os.Stdin, os.Stdout) },
	}
}
