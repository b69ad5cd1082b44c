package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// usualPager shows a text that fits on the screen at once, and keeps it there when it ends.
const usualPager = "less -FIRX"

// newPager returns the function that shows a long text through the user's pager: KIZO_PAGER, PAGER
// or less. An empty KIZO_PAGER, or cat, means none. Quitting the pager early is no error.
func newPager(env func(string) string, set func(string) bool, out *os.File) func(text string) error {
	command := usualPager
	switch {
	case set("KIZO_PAGER"):
		command = env("KIZO_PAGER")
	case env("PAGER") != "":
		command = env("PAGER")
	}
	words := strings.Fields(command)
	if len(words) == 0 || words[0] == "cat" {
		return nil
	}
	return func(text string) error {
		path, err := exec.LookPath(words[0])
		if err != nil {
			_, err := out.WriteString(text)
			return err
		}
		// Ctrl-C goes to the pager, which handles it as its user expects.
		pager := exec.CommandContext(context.Background(), path, words[1:]...)
		pager.Stdin, pager.Stdout, pager.Stderr = strings.NewReader(text), out, os.Stderr
		err = pager.Run()
		if _, ended := errors.AsType[*exec.ExitError](err); ended || errors.Is(err, syscall.EPIPE) {
			return nil
		}
		return err
	}
}
