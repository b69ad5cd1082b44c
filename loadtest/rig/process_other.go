//go:build !linux

package rig

import (
	"errors"
	"syscall"
)

func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches this process alone
}

func inOwnSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func pin(int, []int) error { return errors.New("choosing the CPUs of a process needs Linux") }
