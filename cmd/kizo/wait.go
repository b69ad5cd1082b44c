package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

const (
	// defaultWait is long enough for a bank on a good day and short enough to sit through.
	defaultWait = 5 * time.Second

	maxWait = time.Hour
)

// waitFlag is --wait[=5s]. It also takes plain seconds.
type waitFlag struct{ time.Duration }

func (w *waitFlag) addTo(cmd *cobra.Command) {
	w.Duration = defaultWait
	cmd.Flags().VarPF(w, "wait", "", "how long to wait for the bank; 0 ends with 0 as soon as it is accepted").NoOptDefVal = defaultWait.String()
}

func (w *waitFlag) Type() string { return "duration" }

func (w *waitFlag) String() string { return w.Duration.String() }

func (w *waitFlag) Set(text string) error {
	if seconds, err := strconv.ParseUint(text, 10, 16); err == nil {
		text = strconv.FormatUint(seconds, 10) + "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxWait {
		return fmt.Errorf("%q is no time to wait: type one such as --wait=10s, at most %s", text, maxWait)
	}
	w.Duration = d
	return nil
}
