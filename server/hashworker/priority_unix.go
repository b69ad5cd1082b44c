//go:build unix && !linux

package hashworker

import (
	"os"

	"golang.org/x/sys/unix"
)

const lowest = 19

func attributes() *unix.SysProcAttr { return &unix.SysProcAttr{Setsid: true} }

// LowerPriority: elsewhere than on Linux a process has one priority.
func LowerPriority() { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowest) }

func self() (string, error) { return os.Executable() }
