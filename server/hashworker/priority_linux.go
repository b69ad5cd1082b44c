package hashworker

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attributes of the child: a session of its own. With it comes a scheduling group of
// its own where the kernel makes those (sched_autogroup), and signals from the
// terminal pass it by.
func attributes() *unix.SysProcAttr { return &unix.SysProcAttr{Setsid: true} }

// lower gives this process the priority p. Linux counts priority by thread: those of
// our process group, which are ours alone after setsid, are lowered now, and later
// ones inherit it. Inside a session's scheduling group a priority counts only among
// the group's own threads, so the group is lowered as well. What is not allowed is
// left as it is.
//
// A CPU that runs nothing but SCHED_IDLE counts as free when the kernel looks for a
// place for a thread that wakes up.
func lower(p priority) {
	if p == priorityNormal {
		return
	}
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, lowestNice)
	_ = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(lowestNice)), 0)
	if p == priorityIdle {
		makeIdle()
	}
}

// makeIdle puts every thread of this process into SCHED_IDLE.
func makeIdle() {
	idle := unix.SchedAttr{Size: uint32(unsafe.Sizeof(unix.SchedAttr{})), Policy: unix.SCHED_IDLE, Nice: lowestNice}
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

// clockTick is what /proc counts CPU time in: USER_HZ is 100 on every architecture
// that Go knows.
const clockTick = 10 * time.Millisecond

// cpuTime is the CPU time that a process has used, all its threads together, in steps
// of clockTick. It is not known of a process that is gone.
func cpuTime(pid int) (used time.Duration, known bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// After the name, which may hold spaces, come the fields from the third on (proc(5)).
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, false
	}
	var ticks int64
	for _, field := range fields[user : system+1] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, true
}
