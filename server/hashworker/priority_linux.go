package hashworker

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const lowest = 19

// attributes of the child: a session of its own. With it comes a scheduling group of
// its own where the kernel makes those (sched_autogroup), and signals from the
// terminal pass it by.
func attributes() *unix.SysProcAttr { return &unix.SysProcAttr{Setsid: true} }

// lowerPriority gives every thread of this process the lowest priority. Linux counts
// it by thread: those of our process group, which are ours alone after setsid, are
// there already, and later ones inherit it. Inside a session's scheduling group it
// counts only among the group's own, so the group is lowered as well. Where either
// is not allowed we go on as we are.
func lowerPriority() {
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, lowest)
	_ = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(lowest)), 0)
}

// self is this program even if its file has been replaced meanwhile.
func self() (string, error) { return "/proc/self/exe", nil }
