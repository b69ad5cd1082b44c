package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

const noFollow = 0

// checkPrivate does nothing: files inherit the access list of the user's profile.
func checkPrivate(string, fs.FileInfo) error { return nil }

// readableByAll does not read access lists: files inherit that of the user's profile.
func readableByAll(fs.FileInfo) bool { return false }

// freeSpace returns the bytes that this user can still write to the volume of a directory.
func freeSpace(dir string) (uint64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return free, nil
}

// syncDir does nothing: NTFS journals names, and directories cannot be synced.
func syncDir(string) error { return nil }

// lockFile waits for an exclusive lock, which ends at the latest with the process.
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
		go func() { <-locked; file.Close() }() // it cannot be canceled, only released
		return nil, ctx.Err()
	}
}
