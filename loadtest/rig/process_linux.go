package rig

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

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

// pin lets a process and its descendants run on these CPUs only. New threads and processes inherit
// that from the thread that starts them.
func pin(pid int, cpus []int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	for _, p := range processes().tree(pid) {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.Proc.PID))
		if errors.Is(err, os.ErrNotExist) {
			continue // it has ended
		}
		if err != nil {
			return fmt.Errorf("list the threads of process %d: %w", p.Proc.PID, err)
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err == nil {
				err = unix.SchedSetaffinity(id, &set)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("pin thread %s of process %d: %w", thread.Name(), p.Proc.PID, err)
			}
		}
	}
	return nil
}
