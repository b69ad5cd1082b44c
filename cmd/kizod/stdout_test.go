package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A command that cannot write its output fails, here for those that need no database.
func TestFullDiskIsReported(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("this system has no /dev/full")
	}
	defer full.Close()
	for _, args := range []string{"", "--help", "--version", "version", "help", "help user", "serve --help", "user grant --help", "completion bash"} {
		var stderr strings.Builder
		command := exec.CommandContext(t.Context(), kizod, strings.Fields(args)...)
		command.Stdout, command.Stderr = full, &stderr
		_ = command.Run()
		if code := command.ProcessState.ExitCode(); code != exitError || !strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("kizod %s: exit code %d, stderr %q", args, code, stderr.String())
		}
	}
}
