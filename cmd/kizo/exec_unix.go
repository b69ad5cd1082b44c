//go:build unix

package main

import (
	"context"
	"os"
	"os/exec"
	"syscall"
)

// shellCommand returns a command for the shell, in a process group of its own: a signal then
// reaches the whole of a pipeline, and that of a terminal reaches it once, through kizo.
func shellCommand(text string) *exec.Cmd {
	command := exec.CommandContext(context.Background(), "/bin/sh", "-c", text)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return command
}

// signalAll sends a signal to all processes of a command.
func signalAll(command *exec.Cmd, s os.Signal) {
	if number, ok := s.(syscall.Signal); ok {
		_ = syscall.Kill(-command.Process.Pid, number) // it may have ended meanwhile
	}
}
