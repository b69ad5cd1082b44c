package main

import (
	"context"
	"os"
	"os/exec"
	"syscall"
)

// shellCommand returns a command for the shell. The text is passed on as it is, since cmd.exe does
// not follow the quoting rules of other programs.
func shellCommand(text string) *exec.Cmd {
	command := exec.CommandContext(context.Background(), "cmd.exe")
	command.SysProcAttr = &syscall.SysProcAttr{CmdLine: "cmd.exe /S /C \"" + text + "\""}
	return command
}

// signalAll ends a command: a console signal reaches it without kizo.
func signalAll(command *exec.Cmd, _ os.Signal) { _ = command.Process.Kill() }
