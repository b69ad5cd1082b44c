package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
)

const admin = AdminRole

func TestRestartKeepsData(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(tempDir(t), "not", "yet")
	first := start(t, PostgresConfig{Dir: dir})
	exec1(t, first.URL("postgres", admin), `CREATE TABLE kept AS SELECT 42 AS n`)
	testkit.Must(t, first.Stop(t.Context()))
	testkit.Must(t, first.Stop(t.Context())) // the second Stop has no effect
	<-first.Done()

	second := start(t, PostgresConfig{Dir: dir})
	if n := query[int](t, second.URL("postgres", admin), `SELECT n FROM kept`); n != 42 {
		t.Errorf("after a restart the table holds %d", n)
	}
	// Committed data survives a crash.
	exec1(t, second.URL("postgres", admin), `UPDATE kept SET n = 43`)
	testkit.Must(t, second.Kill())

	third := start(t, PostgresConfig{Dir: dir})
	if n := query[int](t, third.URL("postgres", admin), `SELECT n FROM kept`); n != 43 {
		t.Errorf("after a crash the table holds %d", n)
	}
}

func TestDurableAndPrivate(t *testing.T) {
	t.Parallel()
	pg := start(t, PostgresConfig{Dir: tempDir(t), Settings: map[string]string{"work_mem": "5MB"}})
	for name, want := range map[string]string{
		"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on",
		"listen_addresses": "", "max_connections": "200", "server_encoding": "UTF8", "TimeZone": "UTC",
		"work_mem": "5MB", "shared_buffers": shown(sharedBuffers()),
	} {
		if got := query[string](t, pg.URL("postgres", admin), `SELECT current_setting($1)`, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	info, err := os.Stat(pg.SocketDir)
	testkit.Must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory is %v", info.Mode())
	}
}

// shown returns a size as SHOW prints it.
func shown(size string) string {
	if size == "1024MB" {
		return "1GB"
	}
	return size
}

func TestUnusualPaths(t *testing.T) {
	t.Parallel()
	for name, sub := range map[string]string{
		"deep":  strings.Repeat("a-long-name-of-a-directory/", 8),
		"odd":   `with "quotes", comma & [glob] 100%`,
		"space": "My Data ü",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pg := start(t, PostgresConfig{Dir: filepath.Join(tempDir(t), sub)})
			query[int](t, pg.URL("postgres", admin), `SELECT 1`)
			testkit.Must(t, pg.Stop(t.Context()))
			if _, err := os.Stat(pg.SocketDir); pg.TempDir && !os.IsNotExist(err) {
				t.Errorf("the temporary %s still exists: %v", pg.SocketDir, err)
			}
			if name == "deep" && !pg.TempDir {
				t.Error("the path was not too long, so this tests nothing")
			}
		})
	}
}

// tree returns the path and time of every file, to compare them.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	testkit.Must(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		b.WriteString(path + info.ModTime().String() + "\n")
		return err
	}))
	return b.String()
}

func TestOtherVersionIsRefused(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	testkit.Must(t, start(t, PostgresConfig{Dir: dir}).Stop(t.Context()))
	data := filepath.Join(dir, "pgdata")
	testkit.Must(t, os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("99\n"), 0o600))
	before := tree(t, data)

	_, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir})
	if version, ok := errors.AsType[*VersionError](err); !ok || version.Major != 99 || len(version.Have) == 0 {
		t.Errorf("got %v", err)
	}
	if after := tree(t, data); after != before {
		t.Errorf("the data was changed:\n%s\n%s", before, after)
	}
}

func TestOtherFilesAreNotChanged(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "pgdata"), 0o700))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "pgdata", "thesis.txt"), []byte("years"), 0o600))
	if _, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir}); err == nil {
		t.Error("started on a directory with other files")
	}
	text, err := os.ReadFile(filepath.Join(dir, "pgdata", "thesis.txt"))
	if err != nil || string(text) != "years" {
		t.Errorf("the file now contains %q, %v", text, err)
	}
}

func TestFailedStartReportsLog(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	_, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir, Settings: map[string]string{"shared_buffers": "a lot"}})
	if err == nil || !strings.Contains(err.Error(), "shared_buffers") {
		t.Errorf("the error does not contain the log: %v", err)
	}
	start(t, PostgresConfig{Dir: dir}) // the lock was released
}

func TestInterruptedInitdb(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	left := filepath.Join(dir, "pgdata.initdb-123") // of a killed initdb
	testkit.Must(t, os.MkdirAll(filepath.Join(left, "base"), 0o700))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started := make(chan error, 1)
	go func() {
		_, err := StartPostgres(ctx, PostgresConfig{Dir: dir})
		started <- err
	}()
	testkit.Eventually(t, "initdb runs", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "pgdata.initdb-*", "PG_VERSION"))
		return len(files) > 0
	})
	cancel()
	if err := <-started; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if leftovers, _ := filepath.Glob(filepath.Join(dir, "pgdata.initdb-*")); len(leftovers) > 0 {
		t.Errorf("left behind: %v", leftovers)
	}
	start(t, PostgresConfig{Dir: dir})
}

func TestLargeLogIsRenamed(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	log := filepath.Join(dir, "postgres.log")
	testkit.Must(t, os.WriteFile(log, make([]byte, maxLogSize+1), 0o600))
	start(t, PostgresConfig{Dir: dir})
	now, err := os.Stat(log)
	testkit.Must(t, err)
	old, err := os.Stat(log + ".1")
	testkit.Must(t, err)
	if old.Size() != maxLogSize+1 || now.Size() == 0 || now.Size() > maxLogSize {
		t.Errorf("old log %d bytes, new %d", old.Size(), now.Size())
	}
}

func TestEnsureDatabase(t *testing.T) {
	t.Parallel()
	pg := start(t, PostgresConfig{Dir: tempDir(t)})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := pg.EnsureDatabase(context.Background(), "kizo"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	exec1(t, pg.URL("kizo", OwnerRole), `CREATE TABLE money (n int); ALTER ROLE kizo_app SET lock_timeout = '1s'`)
	conn, err := pgx.Connect(t.Context(), pg.URL("kizo", AppRole))
	testkit.Must(t, err)
	defer conn.Close(context.Background())
	for _, sql := range []string{`CREATE TABLE mine (n int)`, `SELECT * FROM money`, `CREATE ROLE other`} {
		if _, err := conn.Exec(t.Context(), sql); err == nil {
			t.Errorf("the application may %s", sql)
		}
	}
	log, err := os.ReadFile(pg.LogPath())
	testkit.Must(t, err)
	if strings.Contains(string(log), "already exists") {
		t.Error("a repeated call logs errors")
	}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	if _, running, err := Attach(dir); running || err != nil {
		t.Errorf("without a server: %v, %v", running, err)
	}
	pg := start(t, PostgresConfig{Dir: dir})
	found, running, err := Attach(dir)
	if !running || err != nil || found.PID != pg.Pid() {
		t.Fatalf("%+v, %v, %v", found, running, err)
	}
	query[int](t, found.URL("postgres", admin), `SELECT 1`)
	file, err := os.ReadFile(filepath.Join(dir, "postgres.json"))
	testkit.Must(t, err)
	testkit.Must(t, pg.Stop(t.Context()))
	if _, running, err := Attach(dir); running || err != nil {
		t.Errorf("stopped: %v, %v", running, err)
	}
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "postgres.json"), file, 0o600)) // as after a kill
	if _, running, err := Attach(dir); running || err != nil {
		t.Errorf("killed: %v, %v", running, err)
	}
}
