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

// attributes returns the process attributes of a child: it has its own session. With
// sched_autogroup, the kernel also gives it a scheduling group of its own, and signals of
// the terminal do not reach it.
func attributes() *unix.SysProcAttr { return &unix.SysProcAttr{Setsid: true} }

// lower gives this process the priority p. On Linux each thread has its own priority. The
// existing threads of the process group, which after setsid belong to this process alone,
// are lowered here, and later threads inherit the priority. Within the scheduling group of
// a session, a nice value only counts among threads of the group, so lower sets the nice
// value of the group too. Errors are ignored: the process then keeps its priority.
//
// A CPU that runs only SCHED_IDLE threads counts as free when the kernel chooses a CPU
// for a thread that wakes up. The thread may still wait until the time slice of a running
// SCHED_IDLE thread ends, some milliseconds, if that is in another scheduling group. Since
// Linux 6.12, it takes the CPU at once from a thread whose time slice is longer than its own.
func lower(p priority) {
	if p == priorityNormal {
		return
	}
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, lowestNice)
	_ = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(lowestNice)), 0)
	if p == priorityIdle {
		eachThread(makeIdle)
	}
}

// longSlice is longer than the default time slice of Linux, which is at most 3 ms, and not longer
// than necessary: Linux 6.12 to 6.16 let a thread keep the CPU for its whole slice if no other
// thread wakes up.
const longSlice = 5 * time.Millisecond

// makeIdle gives a thread a long time slice, and moves it to SCHED_IDLE. In that class a slice
// cannot be set, but the thread keeps that of its class before. Older kernels ignore the slice.
func makeIdle(thread int) {
	attr := unix.SchedAttr{
		Size: uint32(unsafe.Sizeof(unix.SchedAttr{})), Policy: unix.SCHED_BATCH, Nice: lowestNice, Runtime: uint64(longSlice),
	}
	_ = unix.SchedSetAttr(thread, &attr, 0)
	attr.Policy, attr.Runtime = unix.SCHED_IDLE, 0
	_ = unix.SchedSetAttr(thread, &attr, 0)
}

// eachThread calls change for every thread of this process. Threads that start later inherit what
// it changes.
func eachThread(change func(thread int)) {
	done := make(map[string]bool)
	for again := true; again; { // a thread that is not yet changed may have started another one
		again = false
		threads, _ := os.ReadDir("/proc/self/task")
		for _, thread := range threads {
			if done[thread.Name()] {
				continue
			}
			done[thread.Name()], again = true, true
			if id, err := strconv.Atoi(thread.Name()); err == nil {
				change(id)
			}
		}
	}
}

// self returns the path of this program, which is valid even if its file was replaced.
func self() (string, error) { return "/proc/self/exe", nil }

// clockTick is the unit of CPU time in /proc: USER_HZ is 100 on every architecture that
// Go supports.
const clockTick = 10 * time.Millisecond

// cpuTime returns the CPU time that all threads of a process have used together, in
// multiples of clockTick. It is unknown after the process was reaped.
func cpuTime(pid int) (used time.Duration, known bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The third field and later ones follow the name, which may contain spaces (proc(5)).
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
