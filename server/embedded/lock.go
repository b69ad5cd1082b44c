package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const lockName = "lock"

// DirLock is an exclusive lock of a directory. The kernel holds it until [DirLock.Unlock] or the
// end of the process; a lock file that is left behind has no effect.
type DirLock struct {
	dir  string
	file *os.File
}

type lockHolder struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// Lock locks a directory, and makes it if it does not exist. If another process, or another part of
// this one, holds the lock, the error is an [InUseError].
func Lock(dir string) (*DirLock, error) { return lockFile(dir, lockName) }

func lockFile(dir, name string) (*DirLock, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := makePath(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	// A process writes its pid just after it got the lock. Before that, the file is empty or has
	// the pid of a process that has ended, and is read again.
	for attempt := 0; ; attempt++ {
		lock, err := tryLock(path)
		if err == nil {
			lock.dir = dir
			return lock, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		holder := readHolder(path)
		if alive(holder.PID) {
			return nil, &InUseError{Dir: dir, PID: holder.PID}
		}
		if attempt == 50 {
			return nil, &InUseError{Dir: dir}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func tryLock(path string) (*DirLock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, err
	}
	text, _ := json.Marshal(lockHolder{PID: os.Getpid(), Since: time.Now().UTC()})
	err = file.Truncate(0)
	if err == nil {
		_, err = file.WriteAt(append(text, '\n'), 0)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &DirLock{file: file}, nil
}

func readHolder(path string) lockHolder {
	var holder lockHolder
	if text, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(text, &holder) // an incomplete file is the same as an empty one
	}
	return holder
}

// Dir returns the locked directory, as an absolute path.
func (l *DirLock) Dir() string { return l.dir }

// Unlock releases the lock. It does not remove the file: otherwise two processes could lock two
// files of the same name.
func (l *DirLock) Unlock() error {
	if err := l.file.Truncate(0); err != nil {
		l.file.Close()
		return err
	}
	return l.file.Close()
}

// alive reports whether a process with this pid exists, of any user.
func alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
