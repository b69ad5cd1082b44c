package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

func TestBackupCheckArguments(t *testing.T) {
	t.Parallel()
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "kizo.dump")
	testkit.Must(t, os.WriteFile(file, []byte("PGDMP but no dump"), 0o600))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "name one backup"},
		{[]string{dir, dir}, exitUsage, "name one backup"},
		{[]string{filepath.Join(dir, "absent")}, exitUsage, "no such file"},
		{[]string{file, "--archive", dir}, exitUsage, "are for the directory"},
		{[]string{dir, "--moment", "2026-01-01"}, exitUsage, "--moment needs --archive"},
		{[]string{dir, "--archive", file}, exitUsage, "is not a directory"},
		{[]string{dir, "--archive", dir, "--moment", "2026'"}, exitUsage, "no quotes"},
		{[]string{dir}, exitError, "there is no backup_label"},
		{[]string{file, "--scratch", filepath.Join(dir, "absent")}, exitUnchecked, "make a directory"},
	} {
		if code, output := run(t, nil, append([]string{"backup", "check"}, c.args...)...); code != c.code || !strings.Contains(output, c.want) {
			t.Errorf("%v: exit %d, want %d: %s", c.args, code, c.code, output)
		}
	}
}

// kizod backup check accepts a directory, the same with the archive, an earlier moment and a dump,
// and refuses each with a defect. It leaves nothing behind and changes no backup.
func TestBackupCheck(t *testing.T) {
	if os.Getenv("KIZO_TEST_RESTORE") == "" {
		t.Skip("takes a minute; make test-restore runs it")
	}
	t.Parallel()
	archive := pgtest.TempDir(t)
	testkit.Must(t, os.Chmod(archive, 0o777)) // PostgreSQL runs as another user
	pg := pgtest.NewServer(t, 0, pgtest.WithSetting("archive_mode", "on"), pgtest.WithSetting("archive_command", "test ! -f "+archive+"/%f && cp %p "+archive+"/%f"))
	needsPrograms(t, pg, "psql", "pg_basebackup", "pg_verifybackup", "pg_dump", "pg_restore")
	manual := filepath.Join("docs", "operations.md")
	i := newInstallation(t, pg)
	i.serve()
	alice, bob := signUp(t, i.client, i.url, "alice"), signUp(t, i.client, i.url, "bob")
	i.moved(deposit(alice, 100_00))
	i.shell(shellBlocks(t, manual, "### Physical backup")[0])
	i.moved(transfer(alice, 10_00, bob))
	moment := i.ask("SELECT clock_timestamp()::text")
	i.moved(transfer(alice, 20_00, bob))
	i.shell(shellBlocks(t, manual, "### Dump and restore")[0])
	i.kizod.stops()
	i.archiveAll()

	base, dump, scratch := filepath.Join(i.dir, "base"), filepath.Join(i.dir, "kizo.dump"), pgtest.TempDir(t)
	check := func(code int, want []string, args ...string) {
		t.Helper()
		began := time.Now()
		got, output := run(t, i.env(), append([]string{"backup", "check", "--scratch", scratch}, args...)...)
		t.Logf("%v, %v:\n%s", args, time.Since(began).Round(time.Millisecond), output)
		if got != code {
			t.Errorf("%v: exit %d, want %d", args, got, code)
		}
		for _, text := range want {
			if !strings.Contains(output, text) {
				t.Errorf("%v: the output lacks %q", args, text)
			}
		}
		if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
			t.Errorf("%v: left %v, %v", args, left, err)
		}
	}
	const serves = "A restore of this backup would serve"
	check(0, []string{serves + ".", "of 2 users", "ok      audit"}, base)
	check(0, []string{serves + "."}, base, "--archive", archive)
	check(0, []string{serves + ", after kizod repair --restored."}, base, "--archive", archive, "--moment", moment)
	check(0, []string{serves + ", after kizod repair --restored."}, dump)

	check(exitError, []string{"FAILED  start", "before configured recovery target"}, base, "--archive", archive, "--moment", "2100-01-01")
	check(exitError, []string{"FAILED  secrets", "there is no secrets file"}, dump, "--secrets-file", filepath.Join(i.dir, "absent.json"))
	other := filepath.Join(i.dir, "other", "secrets.json")
	if code, output := run(t, nil, "secrets", "init", "--secrets-file", other); code != 0 {
		t.Fatal(output)
	}
	check(exitError, []string{"FAILED  secrets"}, base, "--secrets-file", other)

	text, err := os.ReadFile(dump)
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(dump, text[:len(text)/2], 0o600))
	check(exitError, []string{"FAILED"}, dump)
	changed := filepath.Join(base, "global", "pg_control")
	content, err := os.ReadFile(changed)
	testkit.Must(t, err)
	content[len(content)-1] ^= 1
	testkit.Must(t, os.WriteFile(changed, content, 0o600))
	check(exitError, []string{"FAILED  manifest", "pg_control"}, base)
	content[len(content)-1] ^= 1
	testkit.Must(t, os.WriteFile(changed, content, 0o600))
	testkit.Must(t, os.RemoveAll(filepath.Join(base, "pg_wal")))
	testkit.Must(t, os.Mkdir(filepath.Join(base, "pg_wal"), 0o700))
	check(exitError, []string{"FAILED  manifest"}, base)
	check(0, []string{serves + "."}, base, "--archive", archive) // the archive has what pg_wal lacks
	testkit.Must(t, os.Remove(filepath.Join(base, "backup_label")))
	check(exitError, []string{"FAILED  label"}, base)

	// Books that were changed behind the back of the ledger.
	pg.Exec(t, "kizo", `SET session_replication_role = replica; UPDATE accounts SET balance = balance - 1 WHERE kind = 'wallet'`)
	i.shell(shellBlocks(t, manual, "### Dump and restore")[0])
	check(exitError, []string{"FAILED  audit"}, dump)
}
