package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxPrivateFile limits the size of a file that kizo reads, in bytes.
const maxPrivateFile = 16 << 20

// makePrivateDir creates a directory that only its owner can enter, or checks an existing one.
func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	return checkPrivate(dir, info)
}

// openPrivate opens one of kizo's own files. It refuses one that another user could have created or
// could read: a symbolic link, a file of another user, one that group or others may access.
func openPrivate(path string, flag int) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.OpenFile(path, flag|noFollow, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err == nil {
		err = checkPrivate(path, info)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func readPrivate(path string) ([]byte, error) {
	file, err := openPrivate(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxPrivateFile+1))
	if err == nil && len(text) > maxPrivateFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxPrivateFile)
	}
	return text, err
}

// replaceFile replaces the content of a file, completely or not at all. The content is on disk when
// it returns.
func replaceFile(path string, content []byte) error {
	reserved, err := reserve(path, len(content))
	if err != nil {
		return err
	}
	defer reserved.release()
	return reserved.commit(content)
}

// reservation is disk space for the next content of a file, allocated before the content exists.
type reservation struct {
	path string
	size int
	file *os.File // beside path; nil once it was renamed or removed
}

// newContent is the pattern of the names of a file's reservations.
func newContent(path string) string { return ".new-" + filepath.Base(path) + "-*" }

// removeLeftovers removes the reservations of killed processes. The caller holds the lock of the
// file.
func removeLeftovers(path string) {
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), newContent(path)))
	for _, name := range left {
		_ = os.Remove(name)
	}
}

// reserve allocates and syncs size bytes beside path. After that, a commit of at most size bytes
// needs no further space, except on a file system that writes each block to a new place.
func reserve(path string, size int) (*reservation, error) {
	file, err := os.CreateTemp(filepath.Dir(path), newContent(path)) // 0600
	if err != nil {
		return nil, err
	}
	r := &reservation{path, size, file}
	// Zeros are written, not skipped: a hole in a file has no blocks.
	if _, err = file.Write(make([]byte, size)); err == nil {
		err = file.Sync()
	}
	if err != nil {
		r.release()
		return nil, err
	}
	return r, nil
}

// commit replaces the content of the file, completely or not at all. The content is on disk when it
// returns.
func (r *reservation) commit(content []byte) error {
	_, err := r.file.WriteAt(content, 0)
	if err == nil && len(content) < r.size {
		err = r.file.Truncate(int64(len(content)))
	}
	if err == nil {
		err = r.file.Sync()
	}
	if err != nil {
		return err
	}
	name := r.file.Name()
	if err := r.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(name, r.path); err != nil {
		return err
	}
	r.file = nil
	return syncDir(filepath.Dir(r.path))
}

// release frees a reservation that was not committed.
func (r *reservation) release() {
	if r.file != nil {
		r.file.Close()
		_ = os.Remove(r.file.Name())
		r.file = nil
	}
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}
