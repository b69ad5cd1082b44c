package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/server/auth"
)

func secretsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secrets",
		Short: "Make, check and replace the signing keys and peppers",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(secretsInitCommand())
	return cmd
}

func secretsInitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the secrets file of a new database",
		Long: `Make the secrets file of a new database: a signing key, a pepper and the bank's secrets,
in a file that only its owner may read. Run it once, as the user that kizod runs as, and
copy the file to every other host that serves the same database. An existing file is
never overwritten.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			read, err := readSettings(cmd, secretsFile)
			if err != nil {
				return err
			}
			path := read.get(secretsFile)
			err = auth.CreateSecrets(path)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("there is a secrets file %s already; it is left as it is", path)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s; copy it to every host that serves the same database, and keep a backup of it apart from the database's\n", path)
			return err
		},
	}
	addSettings(cmd, secretsFile)
	return cmd
}
