package embedded

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInUse matches every [InUseError] in errors.Is.
var ErrInUse = errors.New("directory in use")

// InUseError reports that another process uses the directory.
type InUseError struct {
	Dir string
	PID int // of the process that uses it; 0 if not known yet
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("%s is in use by process %d: stop it, or choose another directory", e.Dir, e.PID)
}

// Is makes errors.Is(err, ErrInUse) true.
func (e *InUseError) Is(target error) bool { return target == ErrInUse }

// NotFoundError reports that no usable PostgreSQL server is installed.
type NotFoundError struct {
	BinDir string         // the configured directory, or ""
	TooOld []Installation // found, but older than [MinMajor]
	Failed error          // why the version of a server that was found could not be read, or nil
}

func (e *NotFoundError) Unwrap() error { return e.Failed }

func (e *NotFoundError) Error() string {
	var b strings.Builder
	switch {
	case e.Failed != nil:
		return fmt.Sprintf("PostgreSQL is installed, but its version cannot be read: %v", e.Failed)
	case len(e.TooOld) > 0:
		fmt.Fprintf(&b, "PostgreSQL %d or newer is required; found only %s", MinMajor, list(e.TooOld))
	case e.BinDir != "":
		return fmt.Sprintf("no PostgreSQL server in %s: it must contain postgres and initdb", e.BinDir)
	default:
		b.WriteString("no PostgreSQL server found on PATH or in the usual directories")
	}
	b.WriteString(`; install it:
  Debian, Ubuntu   apt install postgresql
  Fedora, RHEL     dnf install postgresql-server
  macOS            brew install postgresql@17
or name the directory that holds postgres and initdb (--postgres-bin)`)
	return b.String()
}

// VersionError reports that the data was written by a major version of PostgreSQL that is not
// installed. Nothing has been changed.
type VersionError struct {
	DataDir string
	Major   int // of the PostgreSQL that wrote the data
	Have    []Installation
	Failed  error // why the version of another server could not be read, or nil
}

func (e *VersionError) Unwrap() error { return e.Failed }

func (e *VersionError) Error() string {
	have := "none is installed"
	if len(e.Have) > 0 {
		have = "installed: " + list(e.Have)
	}
	if e.Failed != nil {
		have += fmt.Sprintf("; the version of another cannot be read: %v", e.Failed)
	}
	return fmt.Sprintf("the data in %s belongs to PostgreSQL %d (%s): install PostgreSQL %d, "+
		"or upgrade the data with pg_upgrade, or choose another directory; nothing was changed",
		e.DataDir, e.Major, have, e.Major)
}

// UnreachableError reports that the user that the children run as cannot enter the directory.
type UnreachableError struct {
	Dir     string // the configured directory
	Blocked string // the first directory of the path that the user may not enter
	User    string
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("PostgreSQL does not run as root, and the user %s cannot enter %s on the path to %s: "+
		"choose another directory, such as %s, or allow it with chmod o+x %s",
		e.User, e.Blocked, e.Dir, rootDir, e.Blocked)
}

func list(found []Installation) string {
	words := make([]string, len(found))
	for i, f := range found {
		words[i] = fmt.Sprintf("%d (%s)", f.Major, f.BinDir)
	}
	return strings.Join(words, ", ")
}
