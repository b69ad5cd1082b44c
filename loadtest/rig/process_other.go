//go:build !linux

package rig

import "syscall"

func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches this process alone
}

func inOwnSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// LowestPriority gives this process the priority that password hashing begins with.
func LowestPriority() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, lowestNice) }
