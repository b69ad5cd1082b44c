package embedded

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// rootDir is the default data directory of root, whose home other users cannot enter.
const rootDir = "/var/lib/kizo"

// maxSocketPath is the maximum length of the path of a unix socket on every supported system:
// sun_path holds 107 bytes on Linux, 103 on macOS.
const maxSocketPath = 103

// DefaultDir returns the directory in which `kizod dev` keeps its data: $XDG_DATA_HOME/kizo, or
// ~/.local/share/kizo.
//
// If this process runs as root, PostgreSQL runs as another user, who usually cannot enter root's
// home. The directory is then /var/lib/kizo. If $HOME is another directory that the user cannot
// enter, it is /var/lib/kizo/home-<hash>, so that two homes never share their data. An
// $XDG_DATA_HOME outside $HOME is used in any case.
//
// If $HOME is not an absolute path, the home directory of the password database is used. Without
// either, DefaultDir returns an error; it never returns the working directory.
func DefaultDir() (string, error) {
	home := homeDir()
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // the XDG specification: relative paths are ignored
		if home == "" {
			return "", errors.New("no directory for the data: this user has no home directory, " +
				"and neither HOME nor XDG_DATA_HOME is an absolute path: set one, or name a directory with --data")
		}
		data = filepath.Join(home, ".local", "share")
	}
	dir := filepath.Join(data, "kizo")
	id, err := serviceUser()
	if err != nil {
		return "", err
	}
	inHome := home != "" && strings.HasPrefix(dir, filepath.Clean(home)+string(filepath.Separator))
	if !inHome || id.blocked(dir) == "" {
		return dir, nil
	}
	if u, err := user.LookupId("0"); err == nil && filepath.Clean(u.HomeDir) == filepath.Clean(home) {
		return rootDir, nil
	}
	sum := sha256.Sum256([]byte(filepath.Clean(home)))
	return filepath.Join(rootDir, fmt.Sprintf("home-%x", sum[:6])), nil
}

// homeDir returns $HOME if it is an absolute path, else the home directory of the password
// database, else "".
func homeDir() string {
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		return home
	}
	if me, err := user.Current(); err == nil && filepath.IsAbs(me.HomeDir) {
		return me.HomeDir
	}
	return ""
}

// prepareDir makes dir if it does not exist, and makes sure that the children can enter it.
func prepareDir(dir string, id identity) error {
	if parent := filepath.Dir(dir); id.blocked(parent) != "" {
		return &UnreachableError{Dir: dir, Blocked: id.blocked(parent), User: id.name}
	}
	if err := makePath(dir); err != nil {
		return err
	}
	if id.blocked(dir) == "" {
		return nil
	}
	// Only a directory that is empty, or that Kizo has used before, gets the permission to be
	// entered (not listed): the owner of other files may want them private.
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, lockName)); err != nil && len(entries) > 0 {
		return &UnreachableError{Dir: dir, Blocked: dir, User: id.name}
	}
	return os.Chmod(dir, 0o711) //nolint:gosec // the children's user must enter it, and cannot list it
}

// makePath makes dir and its parents: private, or as root with permission to be entered, regardless
// of the umask.
func makePath(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if err := makePath(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil && !os.IsExist(err) {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return os.Chmod(dir, mode)
}

// socketDir is a private directory for one unix socket.
type socketDir struct {
	Path string
	Temp bool // not below the data directory; removed when the server stops
}

// makeSocketDir makes parent/name for a socket called file. If that path is too long, it makes a
// directory with a short path among the temporary files. The caller holds the lock of parent and
// has stopped the server that ran there, so the old contents of parent/name are deleted.
func makeSocketDir(parent, name, file string, id identity) (socketDir, error) {
	if path := filepath.Join(parent, name); parent != "" && fits(path, file) {
		if err := os.RemoveAll(path); err != nil {
			return socketDir{}, fmt.Errorf("clear the socket directory: %w", err)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			return socketDir{}, fmt.Errorf("make the socket directory: %w", err)
		}
		return socketDir{Path: path}, id.own(path)
	}
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if !filepath.IsAbs(base) || !fits(filepath.Join(base, "kizo-0123456789"), file) || id.blocked(base) != "" {
			continue
		}
		if path, err := os.MkdirTemp(base, "kizo-"); err == nil {
			return socketDir{Path: path, Temp: true}, id.own(path)
		}
	}
	return socketDir{}, errors.New("every temporary directory has too long a path for a unix socket: set TMPDIR to a short one")
}

// fits reports whether a socket can be at dir/file. A comma cannot be in the path, since it
// separates hosts in a connection string.
func fits(dir, file string) bool {
	return len(filepath.Join(dir, file)) <= maxSocketPath && !strings.Contains(dir, ",")
}

// remove deletes the directory if makeSocketDir made it among the temporary files.
func (s socketDir) remove() {
	if s.Temp && strings.HasPrefix(filepath.Base(s.Path), "kizo-") {
		os.RemoveAll(s.Path)
	}
}
