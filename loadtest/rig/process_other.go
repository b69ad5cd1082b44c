//go:build !linux

package rig

import "syscall"

func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches this process alone
}

func inOwnSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
