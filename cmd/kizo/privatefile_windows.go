package main

import (
	"context"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

const noFollow = 0

// checkPrivate leaves the matter to the access list of the user's profile, which files inherit.
func checkPrivate(string, fs.FileInfo) error { return nil }

// syncDir: NTFS journals names by itself, and directories cannot be synced.
func syncDir(string) error { return nil }

// lockFile waits for an exclusive lock, which ends with the process if not before.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	file, err := openPrivate(path, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() {
		var whole windows.Overlapped
		locked <- windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &whole)
	}()
	select {
	case err := <-locked:
		if err != nil {
			file.Close()
			return nil, err
		}
		return func() { file.Close() }, nil
	case <-ctx.Done():
		go func() { <-locked; file.Close() }() // it cannot be called off, only given back
		return nil, ctx.Err()
	}
}
