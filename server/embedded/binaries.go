package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MinMajor is the oldest major version of PostgreSQL that Kizo runs on.
const MinMajor = 14

// Installation is one PostgreSQL server found on this machine.
type Installation struct {
	BinDir string // holds postgres and initdb
	Major  int
}

func (i Installation) postgres() string { return filepath.Join(i.BinDir, "postgres") }
func (i Installation) initdb() string   { return filepath.Join(i.BinDir, "initdb") }

// usualDirs are the directories of packages that do not put the server on PATH.
var usualDirs = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // Red Hat, from postgresql.org
	"/usr/lib/postgresql*/bin",                           // SUSE
	"/usr/libexec/postgresql*",                           // Alpine
	"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew, Apple silicon
	"/usr/local/opt/postgresql@*/bin",                    // Homebrew, Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew, Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
	"/usr/local/pgsql/bin",                               // built from source
}

// versionTimeout bounds `postgres --version`. It is long, since the disk and the CPUs may be busy.
const versionTimeout = time.Minute

// Find returns the PostgreSQL on this machine that can read the data in a directory. The error may
// be a [NotFoundError] or a [VersionError].
func Find(ctx context.Context, dataDir string) (Installation, error) {
	major, err := dataVersion(dataDir)
	if err != nil {
		return Installation{}, err
	}
	return findPostgres(ctx, "", dataDir, major)
}

// findPostgres chooses the server to run: the one in binDir if given, else the one on PATH, else
// the newest in the usual directories. dataMajor is the major version of existing data, or 0; only
// a server of that version can read the data. The error names servers that were found but whose
// version could not be read.
func findPostgres(ctx context.Context, binDir, dataDir string, dataMajor int) (Installation, error) {
	var (
		found, tooOld []Installation
		failed        []error
	)
	for _, dir := range candidates(binDir) {
		inst, ok, err := inspect(ctx, dir)
		switch {
		case err != nil:
			failed = append(failed, err)
		case !ok:
		case inst.Major < MinMajor:
			tooOld = append(tooOld, inst)
		case dataMajor == 0 || inst.Major == dataMajor:
			return inst, nil
		default:
			found = append(found, inst)
		}
	}
	if dataMajor != 0 && len(found)+len(tooOld) > 0 {
		return Installation{}, &VersionError{DataDir: dataDir, Major: dataMajor, Have: append(found, tooOld...), Failed: errors.Join(failed...)}
	}
	return Installation{}, &NotFoundError{BinDir: binDir, TooOld: tooOld, Failed: errors.Join(failed...)}
}

// candidates returns the directories to search, in order of preference and without duplicates.
func candidates(binDir string) []string {
	if binDir != "" {
		return []string{binDir}
	}
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		// initdb may be missing beside a symbolic link on PATH; it is beside the target.
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	var usual []string
	for _, pattern := range usualDirs {
		matches, _ := filepath.Glob(pattern)
		usual = append(usual, matches...)
	}
	slices.SortStableFunc(usual, func(a, b string) int { return numberIn(b) - numberIn(a) })
	for _, dir := range usual {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// inspect reads the version of the server in dir; ok is false if there is no server.
func inspect(ctx context.Context, dir string) (inst Installation, ok bool, err error) {
	inst = Installation{BinDir: dir}
	for _, program := range []string{inst.postgres(), inst.initdb()} {
		if ok, err := executable(program); !ok || err != nil {
			return inst, false, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, inst.postgres(), "--version")
	cmd.WaitDelay = time.Second // in case it leaves a child that keeps the pipe open
	began := time.Now()
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return inst, false, fmt.Errorf("%s --version did not end within %v: %w", inst.postgres(), time.Since(began).Round(time.Millisecond), ctx.Err())
	case err != nil:
		return inst, false, fmt.Errorf("%s --version: %w%s", inst.postgres(), err, stderrOf(err))
	}
	if inst.Major, err = parseVersion(string(out)); err != nil {
		return inst, false, fmt.Errorf("%s --version: %w", inst.postgres(), err)
	}
	return inst, true, nil
}

// stderrOf returns what a failed program has written to stderr, as the end of an error text.
func stderrOf(err error) string {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || len(exit.Stderr) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(exit.Stderr))
}

// parseVersion returns 17 for "postgres (PostgreSQL) 17.2 (Debian 17.2-1)".
func parseVersion(text string) (int, error) {
	_, version, ok := strings.Cut(text, "(PostgreSQL) ")
	if !ok || numberIn(version) == 0 {
		return 0, fmt.Errorf("not a PostgreSQL version: %q", strings.TrimSpace(text))
	}
	return numberIn(version), nil
}

// numberIn returns the first number in s, or 0.
func numberIn(s string) int {
	notDigit := func(r rune) bool { return r < '0' || r > '9' }
	s = strings.TrimLeftFunc(s, notDigit)
	if end := strings.IndexFunc(s, notDigit); end >= 0 {
		s = s[:end]
	}
	n, _ := strconv.Atoi(s)
	return n
}

// executable reports whether path is an executable file. It is an error if that cannot be read.
func executable(path string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return info.Mode().IsRegular() && info.Mode()&0o111 != 0, nil
}

// dataVersion returns the major version of the PostgreSQL that wrote dataDir, or 0 if there is no
// cluster yet. It returns an error if the directory holds other files.
func dataVersion(dataDir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, "PG_VERSION"))
	if err == nil {
		major := numberIn(string(text))
		if major == 0 {
			return 0, fmt.Errorf("%s/PG_VERSION is not a version: %q", dataDir, text)
		}
		return major, nil
	}
	if !os.IsNotExist(err) {
		return 0, fmt.Errorf("read the version of the data: %w", err)
	}
	entries, err := os.ReadDir(dataDir)
	if err != nil && !os.IsNotExist(err) {
		return 0, fmt.Errorf("read the data directory: %w", err)
	}
	if len(entries) > 0 {
		return 0, fmt.Errorf("%s is neither empty nor a PostgreSQL data directory (no PG_VERSION); it was not changed", dataDir)
	}
	return 0, nil
}
