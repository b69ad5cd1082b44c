package embedded

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// memory returns how much memory this process may use, in bytes: that of the machine, or the limit
// of its container. It returns 0 if that is unknown.
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
	limit, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil { // "max"
		return total
	}
	return min(total, limit)
}
