package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

const (
	// defaultWait is long enough for a bank on most days and short enough to wait for.
	defaultWait = 5 * time.Second

	maxWait = time.Hour
)

// waitFlag is --wait[=5s]. It also takes plain seconds.
type waitFlag struct{ time.Duration }

func (w *waitFlag) addTo(cmd *cobra.Command) {
	w.Duration = defaultWait
	cmd.Flags().VarPF(w, "wait", "", "how long to wait for the bank; 0 exits with 0 as soon as it has accepted").NoOptDefVal = defaultWait.String()
}

func (w *waitFlag) Type() string { return "duration" }

func (w *waitFlag) String() string { return w.Duration.String() }

func (w *waitFlag) Set(text string) error {
	if seconds, err := strconv.ParseUint(text, 10, 16); err == nil {
		text = strconv.FormatUint(seconds, 10) + "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxWait {
		return fmt.Errorf("%q is not a duration: use for example --wait=10s, at most %s", text, maxWait)
	}
	w.Duration = d
	return nil
}
