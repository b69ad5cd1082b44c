package embedded

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInUse is what an [InUseError] is, for errors.Is.
var ErrInUse = errors.New("directory in use")

// InUseError says that another process works in the directory.
type InUseError struct {
	Dir string
	PID int // the holder; 0 if it has not said yet
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("%s is in use by process %d: stop it, or choose another directory", e.Dir, e.PID)
}

// Is makes errors.Is(err, ErrInUse) true.
func (e *InUseError) Is(target error) bool { return target == ErrInUse }

// NotFoundError says that no usable PostgreSQL server is installed.
type NotFoundError struct {
	BinDir string         // the directory that was asked for, or empty
	TooOld []Installation // found, but older than [MinMajor]
	Failed error          // why what was found could not be asked for its version, or nil
}

func (e *NotFoundError) Unwrap() error { return e.Failed }

func (e *NotFoundError) Error() string {
	var b strings.Builder
	switch {
	case e.Failed != nil:
		return fmt.Sprintf("PostgreSQL is installed, but it does not tell its version: %v", e.Failed)
	case len(e.TooOld) > 0:
		fmt.Fprintf(&b, "PostgreSQL %d or newer is needed; found only %s", MinMajor, list(e.TooOld))
	case e.BinDir != "":
		return fmt.Sprintf("no PostgreSQL server in %s: postgres and initdb should both be there", e.BinDir)
	default:
		b.WriteString("no PostgreSQL server found on PATH or in the usual places")
	}
	b.WriteString(`; install it:
  Debian, Ubuntu   apt install postgresql
  Fedora, RHEL     dnf install postgresql-server
  macOS            brew install postgresql@17
or name the directory that holds postgres and initdb (--postgres-bin)`)
	return b.String()
}

// VersionError says that the data was written by another major version of
// PostgreSQL than any that is installed. Nothing has been changed.
type VersionError struct {
	DataDir string
	Major   int // what wrote the data
	Have    []Installation
	Failed  error // why another that was found could not be asked for its version, or nil
}

func (e *VersionError) Unwrap() error { return e.Failed }

func (e *VersionError) Error() string {
	have := "none is installed"
	if len(e.Have) > 0 {
		have = "installed: " + list(e.Have)
	}
	if e.Failed != nil {
		have += fmt.Sprintf("; and one does not tell its version: %v", e.Failed)
	}
	return fmt.Sprintf("the data in %s belongs to PostgreSQL %d (%s): install PostgreSQL %d, "+
		"or upgrade the data with pg_upgrade, or choose another directory; nothing was changed",
		e.DataDir, e.Major, have, e.Major)
}

// UnreachableError says that the user whom the children run as cannot walk to
// the directory.
type UnreachableError struct {
	Dir     string // what was asked for
	Blocked string // the first directory on the way that the user may not enter
	User    string
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("PostgreSQL does not run as root, and the user %s cannot enter %s on the way to %s: "+
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
