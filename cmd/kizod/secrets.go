package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
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
	cmd.AddCommand(secretsInitCommand(), secretsCheckCommand(), secretsRotateCommand(), secretsActivateCommand(), secretsRemoveCommand(), secretsRecordCommand())
	return cmd
}

// loadSecrets reads the configured secrets file. It never creates one: only this host could check
// passwords that are hashed with a new pepper.
func loadSecrets(ctx context.Context, read *settings) (auth.Secrets, error) {
	path := read.get(secretsFile)
	secrets, err := auth.LoadSecrets(path)
	if errors.Is(err, fs.ErrNotExist) {
		return auth.Secrets{}, fmt.Errorf("there is no secrets file %s: %s", path, whereToGetSecrets(ctx, read.get(databaseURL)))
	}
	if err != nil {
		return auth.Secrets{}, err
	}
	if key := read.get(bankCallbackSecret); key != "" { // the bank signs with this one
		secrets.BankCallback = auth.NewSecret([]byte(key))
	}
	return secrets, nil
}

// whereToGetSecrets returns what to do about a missing secrets file, and which secrets the database
// needs if that can be read.
func whereToGetSecrets(ctx context.Context, url string) string {
	needed, err := neededKeys(ctx, url)
	switch {
	case err != nil:
		return "copy it from a host that runs kizod on this database; for a new database, run `kizod secrets init`"
	case len(needed) > 0:
		return "copy it from a host that runs kizod on this database; it must have " + strings.Join(needed, ", ")
	}
	return "run `kizod secrets init`, once for this database"
}

// neededKeys returns the names of the keys that a secrets file must have for the database at url. A
// new database needs none.
func neededKeys(ctx context.Context, url string) ([]string, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, errors.New("connect to the database: its URL cannot be read")
	}
	defer pool.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return auth.NeededKeys(ctx, pool)
}

// optionalDatabase is databaseURL for a command that does not require it.
var optionalDatabase = setting{databaseURL.key, "", true, databaseURL.help, func(value string) error {
	if value == "" {
		return nil
	}
	return checkDatabase(value)
}}

// checkNewDatabase returns an error if the database has secrets already.
func checkNewDatabase(ctx context.Context, url string) error {
	if url == "" {
		return nil
	}
	needed, err := neededKeys(ctx, url)
	if err != nil {
		return fmt.Errorf("%w; without $KIZO_DATABASE_URL, the file is made without this check", err)
	}
	if len(needed) > 0 {
		return fmt.Errorf("the database has secrets already: copy the secrets file from a host that runs kizod on it; it must have %s", strings.Join(needed, ", "))
	}
	return nil
}

func secretsInitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the secrets file of a new database",
		Long: `Make the secrets file of a new database: a signing key, a pepper and the bank's secrets,
in a file that only its owner may read. Run it once, as the user that kizod runs as, and
copy the file to every other host that serves the same database. An existing file is
never overwritten. If $KIZO_DATABASE_URL is set and that database has secrets already, the
command fails: copy the file from another host then.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			read, err := readSettings(cmd, optionalDatabase, secretsFile)
			if err != nil {
				return err
			}
			path := read.get(secretsFile)
			if err := checkNewDatabase(cmd.Context(), read.get(optionalDatabase)); err != nil {
				return err
			}
			err = auth.CreateSecrets(path)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("there is a secrets file %s already; it was not changed", path)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s; copy it to every host that serves the same database, and keep a backup of it, separate from that of the database\n", path)
			return err
		},
	}
	addSettings(cmd, secretsFile)
	return cmd
}
