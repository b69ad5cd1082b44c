package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/ledger"
)

func auditCommand() *cobra.Command {
	var (
		data   string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Recompute every invariant of the books",
		Long: `Recompute every invariant of the books from their rows, and list the rows that break one.

With --data it audits the data of ` + "`kizod dev --data DIR`" + `, whether that runs or not; with
$KIZO_DATABASE_URL, that database; with neither, the default data of kizod dev. It exits
with 1 if an invariant is broken.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, done, err := findDatabase(cmd, data, embedded.AppRole, databaseURL)
			if err != nil {
				return err
			}
			report, err := runAudit(cmd.Context(), url)
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			} else {
				err = report.WriteTable(cmd.OutOrStdout())
			}
			if err == nil && !report.OK() {
				err = errors.New("an invariant of the books is broken; the rows are listed above")
			}
			return err
		},
	}
	addSettings(cmd, databaseURL)
	cmd.Flags().StringVar(&data, "data", "", "data of a kizod dev (default $XDG_DATA_HOME/kizo)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func runAudit(ctx context.Context, url string) (ledger.Report, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return ledger.Report{}, errors.New("connect to the database: its URL cannot be read")
	}
	defer pool.Close()
	if err := migrations.CheckNotNewer(ctx, pool); err != nil {
		return ledger.Report{}, err
	}
	return ledger.Audit(ctx, pool)
}

// findDatabase returns the URL of the database for a command that needs no server: the first of
// urls that is set in the environment, else the database of a kizod dev, with that role. It starts
// PostgreSQL if it does not run; done stops it then.
func findDatabase(cmd *cobra.Command, data, role string, urls ...setting) (url string, done func() error, err error) {
	nothing := func() error { return nil }
	for _, named := range urls {
		if data != "" || os.Getenv(named.env()) == "" {
			continue
		}
		read, err := readSettings(cmd, named)
		if err != nil {
			return "", nil, err
		}
		return read.get(named), nothing, nil
	}
	if data == "" {
		if data, err = embedded.DefaultDir(); err != nil {
			return "", nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(data, "pgdata")); err != nil {
		return "", nil, fmt.Errorf("there is no data in %s: name the directory with --data", data)
	}
	instance, running, err := embedded.Attach(data)
	if err != nil {
		return "", nil, err
	}
	if running {
		return instance.URL(server.Database, role), nothing, nil
	}
	postgres, err := embedded.StartPostgres(cmd.Context(), embedded.PostgresConfig{Dir: data})
	if err != nil {
		return "", nil, err
	}
	return postgres.URL(server.Database, role), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		return postgres.Stop(ctx)
	}, nil
}
