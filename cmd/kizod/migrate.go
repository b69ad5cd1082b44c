package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/migrations"
)

func migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring a database to this version's schema",
		Long: `Bring the database that $KIZO_MIGRATE_URL names to this version's schema, as the
role that owns the tables. Where the role kizo_app is missing, it is created if the
owner has CREATEROLE; otherwise the error ends with the SQL line that creates it.`,
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
