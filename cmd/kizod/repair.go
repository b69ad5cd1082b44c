package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/ledger"
)

func repairCommand() *cobra.Command {
	var (
		data     string
		restored bool
	)
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Prepare a restored database for serving",
		Long: `Prepare a restored database for serving, as the role that owns the tables.

A dump that was restored into another PostgreSQL has events that would never be
delivered, and a logical copy may have sequences that return an id twice; kizod serve
refuses such a database. This command keeps all events and their order. It changes
nothing in a database that needs no repair, and may run beside a server.

After every restore, from a dump or to an earlier moment, run it with --restored. Then
clients that have read events that are now lost get all events after the restore.

With --data it repairs the data of ` + "`kizod dev --data DIR`" + `; with $KIZO_MIGRATE_URL, that
database; with neither, the default data of kizod dev.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, done, err := findDatabase(cmd, data, embedded.OwnerRole, migrateURL)
			if err != nil {
				return err
			}
			did, err := repair(cmd.Context(), url, restored)
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), did)
			return err
		},
	}
	addSettings(cmd, migrateURL)
	cmd.Flags().StringVar(&data, "data", "", "data of a kizod dev (default $XDG_DATA_HOME/kizo)")
	cmd.Flags().BoolVar(&restored, "restored", false, "the database was restored: number later events above all that clients may have read")
	return cmd
}

func repair(ctx context.Context, url string, restored bool) (did ledger.Repaired, err error) {
	if err := migrations.CheckOwner(ctx, url); err != nil {
		return did, err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return did, errors.New("connect to the database: its URL cannot be read")
	}
	defer pool.Close()
	if err := migrations.Check(ctx, pool); err != nil {
		return did, err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return did, fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Release()
	return ledger.Repair(ctx, conn.Conn(), restored)
}
