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
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/ledger"
)

func auditCommand() *cobra.Command {
	var (
		data                string
		incremental, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Recompute every invariant of the books",
		Long: `Recompute every invariant of the books from their rows, and list the rows that break one.

With --data it audits the data of ` + "`kizod dev --data DIR`" + `, whether that runs or not; with
$KIZO_DATABASE_URL, that database; with neither, the default data of kizod dev. It exits
with 1 if an invariant is broken.

An audit that finds no broken invariant is signed with a key from the secrets file, and
stored. With --incremental, the command verifies that signature and checks only what is
new since then: each new transfer, each account with a new posting from what was signed
on, all that is pending, the status and the holds of all accounts, and that the balances
of all other accounts are those that were signed. That takes seconds where a full audit
takes minutes. It cannot see that a superuser of the database has changed an old row,
such as a memo or a posting of last month; only a full audit does. It fails if there is
no signed audit, or the secrets file lacks the key that signed it: run a full audit then.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, noKeys := auditKeys(cmd, data)
			if noKeys != nil && incremental {
				return fmt.Errorf("verify the last signed audit: %w", noKeys)
			}
			url, done, err := findDatabase(cmd, data, embedded.AppRole, databaseURL)
			if err != nil {
				return err
			}
			report, err := runAudit(cmd.Context(), url, keys, incremental)
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			if noKeys != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "kizod: note: this audit is not signed: %v\n", noKeys)
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
	addSettings(cmd, databaseURL, secretsFile)
	cmd.Flags().StringVar(&data, "data", "", "data of a kizod dev (default $XDG_DATA_HOME/kizo)")
	cmd.Flags().BoolVar(&incremental, "incremental", false, "check only what is new since the last signed audit")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

// auditKeys reads the keys that sign audits from the secrets file of the database that
// findDatabase returns.
func auditKeys(cmd *cobra.Command, data string) ([]ledger.AuditKey, error) {
	path, err := auditSecretsFile(cmd, data)
	if err != nil {
		return nil, err
	}
	secrets, err := auth.LoadSecrets(path)
	if err != nil {
		return nil, err
	}
	return server.AuditKeys(secrets), nil
}

func auditSecretsFile(cmd *cobra.Command, data string) (string, error) {
	if data == "" && os.Getenv(databaseURL.env()) != "" {
		read, err := readSettings(cmd, secretsFile)
		if err != nil {
			return "", err
		}
		return read.get(secretsFile), nil
	}
	if data == "" {
		dir, err := embedded.DefaultDir()
		return server.DevSecretsFile(dir), err
	}
	return server.DevSecretsFile(data), nil
}

func runAudit(ctx context.Context, url string, keys []ledger.AuditKey, incremental bool) (ledger.Report, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return ledger.Report{}, errors.New("connect to the database: its URL cannot be read")
	}
	defer pool.Close()
	if err := migrations.CheckNotNewer(ctx, pool); err != nil {
		return ledger.Report{}, err
	}
	auditor := &ledger.Auditor{Pool: pool, Keys: func() []ledger.AuditKey { return keys }}
	if incremental {
		return auditor.Incremental(ctx)
	}
	return auditor.Full(ctx)
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
