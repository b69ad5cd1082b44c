package rig

import "syscall"

func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // Ctrl-C reaches this process alone
}

// inOwnSession is for a process that is not part of Kizo: the kernel schedules each
// session as a group (sched_autogroup).
func inOwnSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
}
