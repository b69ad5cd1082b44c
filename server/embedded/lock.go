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

// DirLock is the right to be the only process that works in a directory.
// It ends with [DirLock.Unlock] or with the process, however that ends: a
// lock file that lies about means nothing.
type DirLock struct {
	dir  string
	file *os.File
}

type lockHolder struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// Lock takes the directory, which is made if need be. If another process (or
// another part of this one) has it, the error is an [InUseError].
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
	// A holder writes its pid just after it got the lock: a reader who comes
	// between sees nothing, or a dead process's pid, and looks again.
	for try := 0; ; try++ {
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
		if try == 50 {
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
		_ = json.Unmarshal(text, &holder) // not there yet: nobody
	}
	return holder
}

// Dir is the directory that is locked, as an absolute path.
func (l *DirLock) Dir() string { return l.dir }

// Unlock gives the directory free. The file stays: removing it would let two
// processes lock two files of one name.
func (l *DirLock) Unlock() error {
	if err := l.file.Truncate(0); err != nil {
		l.file.Close()
		return err
	}
	return l.file.Close()
}

// alive says whether a process of this pid exists, whoever owns it.
func alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
