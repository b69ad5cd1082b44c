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

// identity is whom a child runs as. The zero value is this process itself.
type identity struct {
	drop     bool
	uid, gid uint32
	name     string
}

// serviceUsers are tried in order; _postgres is what macOS calls it.
var serviceUsers = []string{"postgres", "_postgres", "nobody"}

// serviceUser is whom children run as: the zero identity, unless this is root.
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
			// nobody is -2 on macOS, hence the detour by int64.
			return identity{drop: true, uid: uint32(uid), gid: uint32(gid), name: name}, nil
		}
	}
	return identity{}, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as")
}

// ownerOf is the identity that owns path, if this is root and path exists and
// belongs to somebody else.
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

// own gives path, and all that is in it, to the identity.
func (id identity) own(path string) error {
	if !id.drop {
		return nil
	}
	return filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, int(id.uid), int(id.gid)) //nolint:gosec // never through a link
	})
}

// credential is what the kernel is told; supplementary groups are dropped.
func (id identity) credential() *syscall.Credential {
	if !id.drop {
		return nil
	}
	return &syscall.Credential{Uid: id.uid, Gid: id.gid}
}

// mayEnter judges by the mode bits; access control lists are not consulted.
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

// blocked is the first existing directory on the way to path (path included)
// that the identity may not enter, or empty.
func (id identity) blocked(path string) string {
	if !id.drop {
		return ""
	}
	// By both ways: as it is written, and where links lead.
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
