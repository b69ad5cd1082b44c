package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

func TestUnknownHelp(t *testing.T) {
	for args, want := range map[string]int{
		"help nonsense": exitUsage, "help user nonsense": exitUsage, "nonsense --listen": exitUsage, "help": 0, "help serve": 0, "help user grant": 0,
	} {
		err := exec.CommandContext(t.Context(), kizod, strings.Fields(args)...).Run()
		code := 0
		if ended, ok := errors.AsType[*exec.ExitError](err); ok {
			code = ended.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != want {
			t.Errorf("kizod %s: exit code %d, want %d", args, code, want)
		}
	}
}
