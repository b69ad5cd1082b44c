package embedded

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity is the user that a child runs as. The zero value is the user of this process.
type identity struct {
	drop     bool
	uid, gid uint32
	name     string
}

// serviceUsers are tried in order. On macOS, the user of PostgreSQL is _postgres.
var serviceUsers = []string{"postgres", "_postgres", "nobody"}

// serviceUser returns the user that children run as: another one only if this process is root.
func serviceUser() (identity, error) {
	if os.Geteuid() != 0 {
		return identity{}, nil
	}
	for _, name := range serviceUsers {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseInt(u.Uid, 10, 64)
		gid, err2 := strconv.ParseInt(u.Gid, 10, 64)
		if err1 == nil && err2 == nil && uint32(uid) != 0 {
			// The last of serviceUsers has the id -2 on macOS, hence the conversion through int64.
			return identity{drop: true, uid: uint32(uid), gid: uint32(gid), name: name}, nil
		}
	}
	return identity{}, errors.New("PostgreSQL does not run as root, and there is no user postgres or other unprivileged user to run it as")
}

// ownerOf returns the owner of path, if this process is root and path belongs to another user.
func ownerOf(path string) (identity, bool) {
	info, err := os.Stat(path)
	if err != nil || os.Geteuid() != 0 {
		return identity{}, false
	}
	stat := info.Sys().(*syscall.Stat_t)
	if stat.Uid == 0 {
		return identity{}, false
	}
	id := identity{drop: true, uid: stat.Uid, gid: stat.Gid, name: strconv.Itoa(int(stat.Uid))}
	if u, err := user.LookupId(id.name); err == nil {
		id.name = u.Username
	}
	return id, true
}

// own makes the identity the owner of path and of everything below it.
func (id identity) own(path string) error {
	if !id.drop {
		return nil
	}
	return filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, int(id.uid), int(id.gid)) //nolint:gosec // Lchown does not follow links
	})
}

// credential returns the credential of a child; it has no supplementary groups.
func (id identity) credential() *syscall.Credential {
	if !id.drop {
		return nil
	}
	return &syscall.Credential{Uid: id.uid, Gid: id.gid}
}

// mayEnter reports whether the mode bits let the identity enter a directory. It does not read
// access control lists.
func (id identity) mayEnter(info fs.FileInfo) bool {
	if !id.drop {
		return true
	}
	stat := info.Sys().(*syscall.Stat_t)
	switch {
	case stat.Uid == id.uid:
		return info.Mode()&0o100 != 0
	case stat.Gid == id.gid:
		return info.Mode()&0o010 != 0
	default:
		return info.Mode()&0o001 != 0
	}
}

// blocked returns the first existing directory of path, including path itself, that the identity
// may not enter, or "".
func (id identity) blocked(path string) string {
	if !id.drop {
		return ""
	}
	// It checks both the path as written and the path with links resolved.
	if b := id.blockedStep(path); b != "" {
		return b
	}
	for p := path; ; p = filepath.Dir(p) {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			return id.blockedStep(real)
		}
	}
}

func (id identity) blockedStep(path string) string {
	if parent := filepath.Dir(path); parent != path {
		if b := id.blockedStep(parent); b != "" {
			return b
		}
	}
	if info, err := os.Stat(path); err == nil && !id.mayEnter(info) {
		return path
	}
	return ""
}
