package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/ledger"
)

const (
	replayTimeout = 6 * time.Hour // of the WAL in an archive
	stopRestored  = 15 * time.Second
)

// run makes the steps. Its error is errBackup, an [uncheckedError], or that of ctx.
func (c *backupCheck) run(ctx context.Context) (err error) {
	path, err := filepath.Abs(c.path)
	if err == nil {
		c.dir, err = os.MkdirTemp(c.scratch, "kizo-backup-")
	}
	if err != nil {
		return uncheckedError{fmt.Errorf("make a directory for the restored data: %w", err)}
	}
	c.path = path
	defer func() { _ = os.RemoveAll(c.dir) }()
	if err := os.Chmod(c.dir, 0o711); err != nil { //nolint:gosec // under root PostgreSQL runs as another user, who passes through
		return uncheckedError{err}
	}
	pg, err := c.restore(ctx)
	if err != nil {
		return c.conclude(ctx, err)
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopRestored)
		defer cancel()
		_ = pg.Stop(ending) // its data is removed
	}()
	return c.conclude(ctx, c.examine(ctx, pg))
}

// conclude prints the result.
func (c *backupCheck) conclude(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, unchecked := errors.AsType[uncheckedError](err); unchecked {
		return err
	}
	if c.failures > 0 {
		return errBackup
	}
	if err != nil {
		return uncheckedError{err}
	}
	how := ""
	if !c.directly {
		how = ", after kizod repair --restored"
	}
	fmt.Fprintf(c.out, "A restore of this backup would serve%s.\n", how)
	return nil
}

func (c *backupCheck) restore(ctx context.Context) (*embedded.Postgres, error) {
	if info, err := os.Stat(c.path); err != nil || !info.IsDir() {
		return c.restoreDump(ctx)
	}
	return c.restoreDirectory(ctx)
}

// program runs a program of PostgreSQL, which must succeed, and returns what it prints.
func (c *backupCheck) program(ctx context.Context, dir, name string, args ...string) (string, error) {
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", uncheckedError{fmt.Errorf("%s is not installed: it is in PostgreSQL's client package", path)}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	output, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", name, err, output[:min(len(output), 2000)])
	}
	return string(output), nil
}

// label matches the lines of backup_label that say from where PostgreSQL has to replay.
var label = regexp.MustCompile(`(?m)^START WAL LOCATION: (\S+) .*\n(?s:.*)^START TIME: (.*)$`)

// restoreDirectory verifies the directory of pg_basebackup, and starts PostgreSQL on a copy of it.
func (c *backupCheck) restoreDirectory(ctx context.Context) (*embedded.Postgres, error) {
	text, err := os.ReadFile(filepath.Join(c.path, "backup_label"))
	begun := label.FindSubmatch(text)
	if err != nil || begun == nil {
		c.fail("label", errors.New("there is no backup_label: this is not the directory of pg_basebackup, or PostgreSQL has run on it"))
		return nil, errBackup
	}
	installed, err := embedded.Find(ctx, c.path)
	if err != nil {
		return nil, uncheckedError{err}
	}
	c.pass("label", "PostgreSQL %d, begun at %s, WAL from %s", installed.Major, begun[2], begun[1])
	args := []string{c.path}
	if segments, _ := filepath.Glob(filepath.Join(c.path, "pg_wal", "????????????????????????")); len(segments) == 0 && c.archive != "" {
		args = append(args, "--wal-directory="+c.archive)
	}
	if _, err := c.program(ctx, installed.BinDir, "pg_verifybackup", args...); err != nil {
		return nil, c.failStep("manifest", err)
	}
	c.pass("manifest", "each file is as it was backed up, and the WAL that it needs is there")
	if err := c.copy(); err != nil {
		return nil, uncheckedError{err}
	}
	c.directly = c.moment == ""
	pg, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{
		Dir: c.dir, BinDir: installed.BinDir, StartTimeout: replayTimeout,
		Settings: map[string]string{
			"hba_file": filepath.Join(c.dir, "pg_hba.conf"), "archive_mode": "off", "synchronous_standby_names": "", "ssl": "off",
			"hot_standby": "off", "primary_conninfo": "", // the settings of the backup must reach nothing that runs
		},
	})
	if err != nil {
		c.fail("start", err)
		return nil, errBackup
	}
	return pg, nil
}

// failStep reports a failure of a program, unless the program is missing.
func (c *backupCheck) failStep(step string, err error) error {
	if _, unchecked := errors.AsType[uncheckedError](err); unchecked {
		return err
	}
	c.fail(step, err)
	return errBackup
}

// copy copies the backup and says how PostgreSQL recovers it.
func (c *backupCheck) copy() error {
	data := filepath.Join(c.dir, "pgdata")
	if spaces, _ := os.ReadDir(filepath.Join(c.path, "pg_tblspc")); len(spaces) > 0 {
		return errors.New("the backup has tablespaces, which this command does not know: restore it by hand")
	}
	if err := os.CopyFS(data, os.DirFS(c.path)); err != nil {
		return fmt.Errorf("copy the backup: %w", err)
	}
	err := filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700) //nolint:gosec // a directory
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("copy the backup: %w", err)
	}
	// Debian keeps this file elsewhere. What it sets does not matter here.
	if _, err := os.Stat(filepath.Join(data, "postgresql.conf")); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(filepath.Join(data, "postgresql.conf"), nil, 0o600); err != nil {
			return err
		}
	}
	//nolint:gosec // PostgreSQL reads it; no other user reaches the socket
	if err := os.WriteFile(filepath.Join(c.dir, "pg_hba.conf"), []byte("local all all trust\n"), 0o644); err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(data, "standby.signal"))
	if c.archive == "" {
		return nil
	}
	archive, err := filepath.Abs(c.archive)
	if err != nil {
		return err
	}
	var recovery bytes.Buffer
	fmt.Fprintf(&recovery, "\nrestore_command = 'cp \"%s/%%f\" \"%%p\"'\nrecovery_target_action = 'promote'\n", archive)
	if c.moment != "" {
		fmt.Fprintf(&recovery, "recovery_target_time = '%s'\n", c.moment)
	}
	file, err := os.OpenFile(filepath.Join(data, "postgresql.auto.conf"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(recovery.Bytes())
	return errors.Join(err, file.Close(), os.WriteFile(filepath.Join(data, "recovery.signal"), nil, 0o600))
}

// restoreDump restores the file of pg_dump into a new PostgreSQL, as docs/operations.md does.
func (c *backupCheck) restoreDump(ctx context.Context) (*embedded.Postgres, error) {
	pg, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: c.dir})
	if err != nil {
		return nil, uncheckedError{err}
	}
	stop := func(err error) (*embedded.Postgres, error) { return nil, errors.Join(err, pg.Kill()) }
	list, err := c.program(ctx, pg.BinDir(), "pg_restore", "--list", c.path)
	if err == nil && !strings.Contains(list, " TABLE DATA public transfers ") {
		err = errors.New("it has no table transfers: it is not a dump of Kizo's database")
	}
	if err != nil {
		return stop(c.failStep("list", err))
	}
	c.pass("list", "%d tables with data", strings.Count(list, " TABLE DATA "))
	if err := pg.EnsureDatabase(ctx, c.database); err != nil {
		return stop(uncheckedError{err})
	}
	_, err = c.program(ctx, pg.BinDir(), "pg_restore", "--no-password", "--host="+pg.SocketDir, fmt.Sprintf("--port=%d", pg.Port),
		"--username="+embedded.OwnerRole, "--dbname="+c.database, "--exit-on-error", "--single-transaction", c.path)
	if err != nil {
		return stop(c.failStep("restore", err))
	}
	c.app, c.owner = embedded.AppRole, embedded.OwnerRole
	if err := migrations.Apply(ctx, pg.URL(c.database, c.owner)); err != nil {
		return stop(c.failStep("schema", err))
	}
	return pg, nil
}

// examine checks the restored database as kizod serve does at a start, and audits it.
func (c *backupCheck) examine(ctx context.Context, pg *embedded.Postgres) error {
	pool, err := pgxpool.New(ctx, pg.URL(c.database, c.app))
	if err != nil {
		return uncheckedError{err}
	}
	defer pool.Close()
	var newest string
	const last = `SELECT COALESCE((SELECT created_at::text FROM transfers ORDER BY id DESC LIMIT 1), 'none')`
	if err := pool.QueryRow(ctx, last).Scan(&newest); err != nil {
		c.fail("start", fmt.Errorf("read the database %s as %s: %w", c.database, c.app, err))
		return errBackup
	}
	c.pass("start", "the newest transfer is of %s", newest)
	if err := migrations.Check(ctx, pool); err != nil {
		c.fail("schema", err)
		return errBackup
	}
	if !c.directly {
		if _, err := repair(ctx, pg.URL(c.database, c.owner), true); err != nil {
			c.fail("repair", err)
		}
	}
	if err := errors.Join(ledger.CheckRole(ctx, pool), ledger.CheckRestored(ctx, pool), ledger.CheckCollation(ctx, pool)); err != nil {
		c.fail("database", err)
	} else {
		c.pass("database", "schema, role, order of events and sort order are those that kizod serve needs")
	}
	c.compareSecrets(ctx, pool)
	report, err := (&ledger.Auditor{Pool: pool, Keys: func() []ledger.AuditKey { return nil }}).Full(ctx)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if broken, found := report.FirstBroken(); found {
		c.fail("audit", fmt.Errorf("%s is broken: %s", broken.Name, strings.Join(broken.Broken, "; ")))
		return errBackup
	}
	c.pass("audit", "%d checks of all rows", len(report.Checks))
	return nil
}

// compareSecrets checks that the secrets file has the keys of the restored database.
func (c *backupCheck) compareSecrets(ctx context.Context, pool *pgxpool.Pool) {
	status, err := auth.NewRotation(pool, c.secretsFile).Status(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no secrets file %s: without it, no password can be checked", c.secretsFile)
	}
	if err != nil {
		c.fail("secrets", err)
		return
	}
	var users int64
	for _, key := range status.Keys {
		users += key.Users
	}
	c.pass("secrets", "%s has the keys for the passwords of %d users", c.secretsFile, users)
}
