package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/auth"
)

// rotationTimeout bounds one step of a rotation.
const rotationTimeout = time.Minute

// withRotation runs a step of a rotation on the configured database and secrets file.
func withRotation(cmd *cobra.Command, do func(context.Context, *auth.Rotation, string) error) error {
	read, err := readSettings(cmd, databaseURL, secretsFile)
	if err != nil {
		return err
	}
	pool, err := pgxpool.New(cmd.Context(), read.get(databaseURL))
	if err != nil {
		return errors.New("connect to the database: its URL cannot be read")
	}
	defer pool.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), rotationTimeout)
	defer cancel()
	if err := migrations.Check(ctx, pool); err != nil {
		return err
	}
	path := read.get(secretsFile)
	return do(ctx, auth.NewRotation(pool, path), path)
}

// rotationCommand adds the settings of a rotation to a command.
func rotationCommand(cmd *cobra.Command) *cobra.Command {
	addSettings(cmd, databaseURL, secretsFile)
	return cmd
}

func secretsRotateCommand() *cobra.Command {
	var only string
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Prepare a new signing key and a new pepper: the first of two phases",
		Long: `Add a new signing key and a new pepper to the secrets file and record them in the
database as prepared. Nothing signs or hashes with them yet. The second phase is
kizod secrets activate, once every running kizod has the new file. The command may be
run again: keys that are prepared already stay the same.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			kinds, err := kindsOf(only)
			if err != nil {
				return err
			}
			return withRotation(cmd, func(ctx context.Context, r *auth.Rotation, path string) error {
				prepared, err := r.Prepare(ctx, kinds...)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), `prepared in %s: %s
Nothing uses them yet. Next:
  1. copy the file to every other host that serves this database
  2. reload each kizod (kill -HUP), or restart one after the other
  3. kizod secrets activate
`, path, strings.Join(prepared, ", "))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&only, "only", "", "replace only one kind: pepper or signing-key")
	return rotationCommand(cmd)
}

func kindsOf(only string) ([]string, error) {
	switch only {
	case "":
		return []string{auth.KindSigningKey, auth.KindPepper}, nil
	case "pepper":
		return []string{auth.KindPepper}, nil
	case "signing-key":
		return []string{auth.KindSigningKey}, nil
	}
	return nil, usageError{fmt.Errorf("--only: there is no kind %q; choose pepper or signing-key", only)}
}

func secretsActivateCommand() *cobra.Command {
	return rotationCommand(&cobra.Command{
		Use:   "activate",
		Short: "Sign and hash with the prepared keys: the second phase",
		Long: `Move the prepared keys to the first place in the secrets file: kizod signs and hashes
with the first key of each kind. The command fails while a running kizod does not have
the keys. On a host whose file is older than the activation, it updates the file.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRotation(cmd, func(ctx context.Context, r *auth.Rotation, path string) error {
				active, err := r.Activate(ctx)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "first in %s: %s\n", path, strings.Join(active, ", "))
				if err := writeOldPeppers(ctx, cmd.OutOrStdout(), r); err != nil {
					return err
				}
				fmt.Fprint(cmd.OutOrStdout(), `Next:
  1. copy the file to every other host that serves this database
  2. reload each kizod (kill -HUP), or restart one after the other
  3. later, kizod secrets remove: it removes the keys that are no longer needed
`)
				return nil
			})
		},
	})
}

// writeOldPeppers writes how many users still need a pepper that is no longer in use.
func writeOldPeppers(ctx context.Context, w io.Writer, r *auth.Rotation) error {
	status, err := r.Status(ctx)
	if err != nil {
		return err
	}
	for _, k := range status.Keys {
		if k.Kind == auth.KindPepper && k.File != "first" && k.Users > 0 {
			fmt.Fprintf(w, "%d users still need pepper %s; each gets the new one at the next log-in\n", k.Users, k.ID)
		}
	}
	return nil
}

func secretsRemoveCommand() *cobra.Command {
	return rotationCommand(&cobra.Command{
		Use:   "remove [ID…]",
		Short: "Remove keys that are no longer needed from the secrets file",
		Long: `Remove replaced keys from the secrets file: those with the given ids, or all that are no
longer needed. A pepper is kept while a user's password is hashed with it, a signing key
while a token that it signed may be valid, and either while a running kizod uses it. To
cancel a rotation, remove the prepared keys by their ids.`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			return withRotation(cmd, func(ctx context.Context, r *auth.Rotation, path string) error {
				removed, kept, err := r.Remove(ctx, ids...)
				if err != nil {
					return err
				}
				for _, reason := range kept {
					fmt.Fprintln(cmd.OutOrStdout(), reason)
				}
				if len(removed) == 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "nothing was removed from %s\n", path)
					return nil
				}
				fmt.Fprintf(cmd.OutOrStdout(), "removed from %s: %s\nNext: copy the file to every other host that serves this database\n", path, strings.Join(removed, ", "))
				return nil
			})
		},
	})
}

func secretsRecordCommand() *cobra.Command {
	return rotationCommand(&cobra.Command{
		Use:   "record",
		Short: "Record the secrets file in a database that was restored to an earlier moment",
		Long: `Record the keys of a secrets file that is newer than the database, because the database
was restored to a moment before they were made or activated. The file must contain the
keys that the database needs; restore an older file from a backup if it does not.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRotation(cmd, func(ctx context.Context, r *auth.Rotation, path string) error {
				changed, err := r.Record(ctx)
				if err != nil {
					return err
				}
				if len(changed) == 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "the database has recorded every key of %s already\n", path)
					return nil
				}
				fmt.Fprintf(cmd.OutOrStdout(), "recorded: %s\n", strings.Join(changed, ", "))
				return nil
			})
		},
	})
}

func secretsCheckCommand() *cobra.Command {
	return rotationCommand(&cobra.Command{
		Use:   "check",
		Short: "Compare the secrets file with the database and the running processes",
		Long: `Compare the secrets file with the keys that the database records, and list the running
processes. It exits with 1 if kizod serve could not start with the file, or if a running
process lacks a key that another one uses.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRotation(cmd, func(ctx context.Context, r *auth.Rotation, path string) error {
				status, err := r.Status(ctx)
				if _, differs := errors.AsType[*auth.MismatchError](err); err != nil && !differs {
					return err
				}
				writeSecretsStatus(cmd.OutOrStdout(), path, status)
				return errors.Join(err, missingKeys(status))
			})
		},
	})
}

func writeSecretsStatus(w io.Writer, path string, status auth.SecretsStatus) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%s\n\nKIND\tID\tFILE\tDATABASE\tUSERS\tLAST USED\n", path)
	for _, k := range status.Keys {
		users, used := "-", "-"
		if k.Kind == auth.KindPepper {
			users = fmt.Sprint(k.Users)
		}
		if k.Used {
			used = fmt.Sprintf("%v ago", k.UsedAgo.Round(time.Second))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Kind, k.ID, k.File, k.Database, users, used)
	}
	fmt.Fprintln(table, "\nPROCESS\tROLES\tVERSION\tREPORTED\tUSES")
	for _, p := range status.Processes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%v ago\t%s\n", p.Name, p.Roles, p.Version, p.Seen.Round(time.Second), strings.Join(p.Used, " "))
	}
	_ = table.Flush() // the pipe may be closed
	for _, note := range status.Notes {
		fmt.Fprintln(w, note)
	}
}

// missingKeys returns an error for each running process that lacks an active key.
func missingKeys(status auth.SecretsStatus) error {
	var errs []error
	for _, k := range status.Keys {
		for _, p := range status.Processes {
			if k.Database == "active" && !p.Has(k.Kind, k.ID) {
				errs = append(errs, fmt.Errorf("kizod on %s does not have %s %s: copy the file there and reload it (kill -HUP)", p.Name, k.Kind, k.ID))
			}
		}
	}
	return errors.Join(errs...)
}
