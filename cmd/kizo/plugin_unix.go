//go:build unix

package main

import "syscall"

// replaceProgram runs a program in place of this one: signals, exit code and terminal are its own.
func replaceProgram(path string, args, env []string) error {
	return syscall.Exec(path, args, env)
}
