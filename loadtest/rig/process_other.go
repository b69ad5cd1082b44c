//go:build !linux

package rig

import "syscall"

func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours alone
}

func inOwnSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
