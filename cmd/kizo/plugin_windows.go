//go:build windows

package main

import (
	"os"
	"os/exec"
)

// replaceProgram runs a program and waits for it, since Windows cannot replace one.
func replaceProgram(path string, args, env []string) error {
	command := exec.Command(path, args[1:]...)
	command.Env, command.Stdin, command.Stdout, command.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	return command.Run()
}
