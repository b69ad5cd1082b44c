//go:build unix && !linux

package hashworker

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// attributes returns the process attributes of a child: it has its own session.
func attributes() *unix.SysProcAttr { return &unix.SysProcAttr{Setsid: true} }

// lower gives this process the priority p. On systems other than Linux a process has one
// nice value, and there is no scheduling class for idle CPU time.
func lower(p priority) {
	if p != priorityNormal {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowestNice)
	}
}

// self returns the path of this program.
func self() (string, error) { return os.Executable() }

// cpuTime is unknown on this platform: a child is replaced when one job takes too long.
func cpuTime(int) (used time.Duration, known bool) { return 0, false }
