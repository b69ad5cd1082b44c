package hashworker

import (
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

const lowest = 19

// attributes of the child: a session of its own. With it comes a scheduling group of
// its own where the kernel makes those (sched_autogroup), and signals from the
// terminal pass it by.
func attributes() *unix.SysProcAttr { return &unix.SysProcAttr{Setsid: true} }

// LowerPriority makes this process run when nobody else wants to. Linux counts
// priority by thread: those of our process group, which are ours alone after setsid,
// are there already, and later ones inherit it. Inside a session's scheduling group it
// counts only among the group's own, so the group is lowered as well. Where one of
// these is not allowed we go on as we are.
//
// A processor that runs nothing but SCHED_IDLE counts as a free one when somebody
// wakes up and looks for a place.
func LowerPriority() {
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, lowest)
	_ = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(lowest)), 0)
	idle := unix.SchedAttr{Size: uint32(unsafe.Sizeof(unix.SchedAttr{})), Policy: unix.SCHED_IDLE, Nice: lowest}
	done := make(map[string]bool)
	for again := true; again; { // a thread may have been made by one that was still to come
		again = false
		threads, _ := os.ReadDir("/proc/self/task")
		for _, thread := range threads {
			if done[thread.Name()] {
				continue
			}
			done[thread.Name()], again = true, true
			if id, err := strconv.Atoi(thread.Name()); err == nil {
				_ = unix.SchedSetAttr(id, &idle, 0)
			}
		}
	}
}

// self is this program even if its file has been replaced meanwhile.
func self() (string, error) { return "/proc/self/exe", nil }
