//go:build unix && !linux

package hashworker

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func attributes() *unix.SysProcAttr { return &unix.SysProcAttr{Setsid: true} }

// lower gives this process the priority p: elsewhere than on Linux a process has one
// nice value, and no class for idle CPU time.
func lower(p priority) {
	if p != priorityNormal {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowestNice)
	}
}

func self() (string, error) { return os.Executable() }

// cpuTime is not known: a child is replaced when one job takes long.
func cpuTime(int) (used time.Duration, known bool) { return 0, false }
