package rig

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // Ctrl-C reaches this process alone
}

// inOwnSession is for a process that is not part of Kizo: the kernel schedules each
// session as a group (sched_autogroup).
func inOwnSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
}

// LowestPriority gives the calling goroutine the priority that password hashing begins with: a
// thread of its own in SCHED_IDLE, and the lowest nice value for the scheduling group of this
// session. The process must be the only one of its session.
func LowestPriority() {
	runtime.LockOSThread()
	_ = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(lowestNice)), 0)
	idle := unix.SchedAttr{Size: uint32(unsafe.Sizeof(unix.SchedAttr{})), Policy: unix.SCHED_IDLE, Nice: lowestNice}
	_ = unix.SchedSetAttr(0, &idle, 0)
}
