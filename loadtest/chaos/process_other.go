//go:build !linux

package main

import "syscall"

func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours alone
}
