package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/migrations"
)

func migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring a database to the schema of this version",
		Long: `Bring the database of $KIZO_MIGRATE_URL to the schema of this version, as the role
that owns the tables. If the role kizo_app does not exist, it is created if the owner
has CREATEROLE; otherwise the error ends with the SQL statement that creates it.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			read, err := readSettings(cmd, migrateURL)
			if err != nil {
				return err
			}
			if err := migrations.Apply(cmd.Context(), read.get(migrateURL)); err != nil {
				return err
			}
			newest, err := migrations.Newest()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "schema %d\n", newest)
			return err
		},
	}
	addSettings(cmd, migrateURL)
	return cmd
}
