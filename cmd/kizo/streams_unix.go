//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// maybeClosed reports whether a standard stream may have been closed when kizo started. The Go
// runtime opens the null device for reading and writing in its place, so that a write never fails.
// Other programs do the same to discard output; a shell's > /dev/null opens it for writing only.
func maybeClosed(file *os.File) bool {
	info, err := file.Stat()
	if err != nil {
		return true
	}
	null, err := os.Stat(os.DevNull)
	if err != nil || !os.SameFile(info, null) {
		return false
	}
	flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE == unix.O_RDWR
}
