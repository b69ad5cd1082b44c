//go:build unix

package listener

import (
	"math"
	"syscall"
)

// Descriptors is how many files and connections this process may have open; 0 if that
// is not known or not limited. Go raises the soft limit to the hard one at start.
func Descriptors() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur > math.MaxInt32 {
		return 0
	}
	return int(limit.Cur)
}
