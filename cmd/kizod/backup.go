package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/embedded"
)

// uncheckedError is why a backup could not be checked, which says nothing about the backup.
type uncheckedError struct{ error }

func (e uncheckedError) Unwrap() error { return e.error }

func backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Check backups",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(backupCheckCommand())
	return cmd
}

func backupCheckCommand() *cobra.Command {
	var check backupCheck
	cmd := &cobra.Command{
		Use:   "check PATH",
		Short: "Say whether a restore of a backup would serve",
		Long: `Say whether a restore of a backup would serve. PATH is the directory of pg_basebackup, or
the file of pg_dump --format=custom. The command changes neither it nor any database that
runs: it restores the backup into a temporary PostgreSQL, which listens on a private unix
socket alone, and removes that at the end.

For a directory, pg_verifybackup compares each file with the manifest, and looks for the
WAL that the backup needs. With --archive, PostgreSQL then replays all WAL of the archive,
or that up to --moment. For a file, pg_restore lists and restores it. Then the command
checks what kizod serve checks at a start: the schema, the role, the order of events, and
the secrets file (--secrets-file), without which no password could be checked. The audit
of all rows is last. A restore of a file, or to a moment, also needs kizod repair
--restored, which the check does in the temporary database.

The restored data needs as much space below --scratch as the backup has. PostgreSQL must
have the major version of the backup. $KIZO_DATABASE_URL and $KIZO_MIGRATE_URL name the
database and the roles, if they are not kizo, kizo_app and kizo_owner. Each step is
printed. The exit code is 0 if a restore would serve, 1 if it would not, 2 after a
mistake in the arguments, and 3 if the backup could not be checked.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("name one backup: kizod backup check PATH")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			read, err := readSettings(cmd, optionalDatabase, optionalMigrate, secretsFile)
			if err != nil {
				return err
			}
			check.path, check.out, check.secretsFile = args[0], cmd.OutOrStdout(), read.get(secretsFile)
			check.database, check.app = nameAndRole(read.get(optionalDatabase), server.Database, embedded.AppRole)
			_, check.owner = nameAndRole(read.get(optionalMigrate), "", embedded.OwnerRole)
			if err := check.arguments(); err != nil {
				return usageError{err}
			}
			return check.run(cmd.Context())
		},
	}
	addSettings(cmd, secretsFile)
	cmd.Flags().StringVar(&check.archive, "archive", "", "directory with the archived WAL, which is replayed after the backup")
	cmd.Flags().StringVar(&check.moment, "moment", "", "with --archive: replay until this time, such as 2026-03-14 15:09:26+00")
	cmd.Flags().StringVar(&check.scratch, "scratch", "", "directory for the restored data (default $TMPDIR)")
	return cmd
}

// optionalMigrate is migrateURL for a command that does not require it.
var optionalMigrate = setting{migrateURL.key, "", true, migrateURL.help, optionalDatabase.check}

// nameAndRole returns the database and the role of a URL, or the defaults.
func nameAndRole(url, database, role string) (name, user string) {
	config, err := pgx.ParseConfig(url)
	if url == "" || err != nil {
		return database, role
	}
	return config.Database, config.User
}

// backupCheck restores a backup and checks the result.
type backupCheck struct {
	path, archive, moment, scratch string
	secretsFile                    string
	database, app, owner           string
	out                            io.Writer

	dir      string // holds the restored data
	directly bool   // the restore is complete without kizod repair
	failures int
}

// arguments checks the paths.
func (c *backupCheck) arguments() error {
	info, err := os.Stat(c.path)
	if err != nil {
		return fmt.Errorf("the backup: %w", err)
	}
	if !info.IsDir() {
		if c.archive != "" || c.moment != "" {
			return errors.New("--archive and --moment are for the directory of pg_basebackup")
		}
		return nil
	}
	if c.moment != "" && c.archive == "" {
		return errors.New("--moment needs --archive")
	}
	if c.archive == "" {
		return nil
	}
	if info, err := os.Stat(c.archive); err != nil || !info.IsDir() {
		return fmt.Errorf("--archive: %s is not a directory", c.archive)
	}
	// PostgreSQL passes the path to a shell.
	if strings.ContainsAny(c.archive, "'\"\\%$`\n") || strings.ContainsAny(c.moment, "'\\\n") {
		return errors.New("--archive and --moment may contain no quotes, backslashes, dollar and percent signs")
	}
	return nil
}

// pass prints a step that succeeded.
func (c *backupCheck) pass(step, format string, args ...any) {
	fmt.Fprintf(c.out, "ok      %-9s %s\n", step, fmt.Sprintf(format, args...))
}

// fail prints a step that failed, because of the backup.
func (c *backupCheck) fail(step string, err error) {
	c.failures++
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(err.Error())) { // of PostgreSQL's log, perhaps
		lines = append(lines, printable.Text(strings.TrimSpace(line)))
	}
	fmt.Fprintf(c.out, "FAILED  %-9s %s\n", step, strings.Join(lines, "\n                  "))
}

var errBackup = errors.New("a restore of this backup would not serve")
