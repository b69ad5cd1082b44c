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

// rootDir is the home of the data where root's own home is closed.
const rootDir = "/var/lib/kizo"

// maxSocketPath is the longest path of a unix socket that works everywhere:
// sun_path has room for 107 bytes on Linux, 103 on macOS.
const maxSocketPath = 103

// DefaultDir is where `kizod dev` keeps its data: $XDG_DATA_HOME/kizo, or
// ~/.local/share/kizo.
//
// As root the server runs as another user, who often cannot enter root's home.
// Then it is /var/lib/kizo; with $HOME set to a closed place that is not
// root's own home, /var/lib/kizo/home-<hash>, so that two homes never share
// their money. An $XDG_DATA_HOME outside of $HOME is taken at its word.
//
// Where $HOME is not an absolute path, the home of the password database
// counts; without either, it is an error and never the working directory.
func DefaultDir() (string, error) {
	home := homeDir()
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // the XDG specification: relative paths are ignored
		if home == "" {
			return "", errors.New("there is no place for the data: this user has no home directory, " +
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

// homeDir is $HOME or the home of the password database, whichever is an
// absolute path; empty if neither is.
func homeDir() string {
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		return home
	}
	if me, err := user.Current(); err == nil && filepath.IsAbs(me.HomeDir) {
		return me.HomeDir
	}
	return ""
}

// prepareDir makes dir if need be, and sees to it that the children can enter.
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
	// Only a directory that is empty, or Kizo's already, is opened up for
	// passing through (not for listing): closed ones are closed for a reason.
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, lockName)); err != nil && len(entries) > 0 {
		return &UnreachableError{Dir: dir, Blocked: dir, User: id.name}
	}
	return os.Chmod(dir, 0o711) //nolint:gosec // the children's user must pass through, and see nothing
}

// makePath makes dir: private, or as root open for passing through, whatever
// the umask says.
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
	Temp bool // not below the data directory; removed at stop
}

// makeSocketDir makes parent/name for a socket called file, or where that path
// would be too long, a directory in a short temporary place. Whoever calls it
// holds the lock of parent and has stopped what ran there, so that whatever is
// in parent/name is of no use any more.
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
	return socketDir{}, errors.New("no place with a path short enough for a unix socket: set TMPDIR to one")
}

// fits also refuses commas: in a connection string they separate hosts.
func fits(dir, file string) bool {
	return len(filepath.Join(dir, file)) <= maxSocketPath && !strings.Contains(dir, ",")
}

// remove takes the directory away, if it is a temporary one of ours.
func (s socketDir) remove() {
	if s.Temp && strings.HasPrefix(filepath.Base(s.Path), "kizo-") {
		os.RemoveAll(s.Path)
	}
}
