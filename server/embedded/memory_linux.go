package embedded

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// memory is what this process may use, in bytes: the machine's, or less in a
// container that is bounded; 0 if unknown.
func memory() uint64 {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 0
	}
	total := uint64(info.Totalram) * uint64(info.Unit) //nolint:unconvert // 32 bits on some machines
	text, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return total
	}
	bound, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil { // "max"
		return total
	}
	return min(total, bound)
}
