package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

const (
	firstExecPause, maxExecPause = time.Second, 30 * time.Second

	// execGrace is how long a command may go on after a signal, before it is killed.
	execGrace = 10 * time.Second
)

// secretVariables are the environment variables that neither commands of --exec nor plugins get.
var secretVariables = []string{"KIZO_API_KEY", "KIZO_TOKEN", secretVariable}

// execution runs a command of the user for each event.
type execution struct {
	app      *app
	command  string // for the shell
	attempts int
	timeout  time.Duration // of an attempt; 0 means no limit
	sleep    func(context.Context, time.Duration) error
}

// addTo adds the flags of kizo events for a command.
func (x *execution) addTo(cmd *cobra.Command, cursorPath *string) {
	flags := cmd.Flags()
	flags.StringVar(&x.command, "exec", "", "run this command for each event, with the event as JSON on stdin")
	flags.StringVar(cursorPath, "cursor", "", "with --exec: file of the cursor; by default one for each server, user and command")
	flags.IntVar(&x.attempts, "attempts", 5, "with --exec: stop after this many failures with an event")
	flags.DurationVar(&x.timeout, "exec-timeout", 10*time.Minute, "with --exec: maximum time of a run; 0 means no limit")
}

// events runs the command for each event.
func (x *execution) events(ctx context.Context, o *eventsOptions) error {
	if o.output.format() != "" {
		return usagef("the output flags do not go with --exec: the command gets JSON")
	}
	if x.attempts < 1 || x.timeout < 0 {
		return usagef("--attempts is at least 1, --exec-timeout at least 0")
	}
	d := &delivery{
		opts: o, target: "exec " + x.command, shown: "exec", path: o.cursorPath, send: x.send,
		accepted: func(client.Event) error { return nil },
		begin:    func(string, string) error { return nil },
	}
	return d.run(ctx)
}

// send runs the command until it accepts the event by exit code 0.
func (x *execution) send(ctx context.Context, e client.Event) error {
	line, err := eventJSON(e)
	if err != nil {
		return err
	}
	for failures := 1; ; failures++ {
		err := x.run(ctx, append(line, '\n'))
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Canceled
		case failures == x.attempts:
			return errDelivery(e, fmt.Errorf("the command failed %d times, at last with: %w", failures, err))
		}
		pause := backoff(failures, firstExecPause, maxExecPause)
		x.app.io.note("Attempt %d of event %s: the command ended with: %s; the next one is in %s.",
			failures, printable.Text(e.ID), printable.Text(err.Error()), pause.Round(time.Millisecond))
		if x.sleep(ctx, pause) != nil {
			return context.Canceled
		}
	}
}

// run runs the command once. SIGINT and SIGTERM of kizo go to all processes of the command; kizo
// waits for its end, and kills them after a second signal or after execGrace.
func (x *execution) run(ctx context.Context, line []byte) error {
	command := shellCommand(x.command)
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(line), x.app.io.Out, x.app.io.Err
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(secretVariables, name)
	})
	command.WaitDelay = time.Second // for the output of processes that outlive the command
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()

	var expires, kill <-chan time.Time
	if x.timeout > 0 {
		expires = time.After(x.timeout)
	}
	stopping, canceled, byContext, late := false, ctx.Done(), false, false
	stop := func(s os.Signal) {
		if stopping {
			s = os.Kill
		}
		signalAll(command, s)
		if !stopping {
			stopping, kill = true, time.After(execGrace)
		}
	}
	for {
		select {
		case err := <-ended:
			return endOfCommand(command, err, late, x.timeout)
		case s := <-signals:
			canceled = nil
			if byContext {
				byContext = false
				continue // the signal that has canceled the context
			}
			stop(s)
		case <-canceled: // without a signal, or just before it
			canceled, byContext = nil, true
			stop(syscall.SIGTERM)
		case <-expires:
			late = true
			stop(syscall.SIGTERM)
		case <-kill:
			signalAll(command, os.Kill)
		}
	}
}

// endOfCommand returns nil if the command has ended with exit code 0.
func endOfCommand(command *exec.Cmd, err error, late bool, timeout time.Duration) error {
	switch {
	case late:
		return fmt.Errorf("it ran for more than %s", timeout)
	case errors.Is(err, exec.ErrWaitDelay) && command.ProcessState.Success():
		return nil
	}
	return err
}
