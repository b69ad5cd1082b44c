//go:build unix

package listener

import (
	"math"
	"syscall"
)

// Descriptors returns the maximum number of file descriptors that this process may have
// open; 0 if there is no limit or it is unknown. Go raises the soft limit to the hard
// limit when a program starts.
func Descriptors() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur > math.MaxInt32 {
		return 0
	}
	return int(limit.Cur)
}
