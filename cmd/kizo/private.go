package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxPrivateFile bounds what is read of a file of ours.
const maxPrivateFile = 16 << 20

// makePrivateDir makes a directory that only its owner can enter, or finds one.
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

// openPrivate opens a file of ours, and refuses one that somebody else could have put there or could
// read: a symbolic link, a file of another user, one that group or others may touch.
func openPrivate(path string, flag int) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file", path)
	}
	file, err := os.OpenFile(path, flag|noFollow, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a plain file", path)
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

// replaceFile puts new content in place of a file, all of it or none, and on the disk when it returns.
func replaceFile(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}
