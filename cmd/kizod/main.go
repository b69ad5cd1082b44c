// Command kizod is Kizo's daemon.
//
//	kizod dev       everything at once, nothing to install but PostgreSQL
//	kizod serve     the daemon proper, on a PostgreSQL and Redis that run already
//	kizod migrate   bring a database to this version's schema
//	kizod repair    make a restored database fit to serve
//	kizod audit     recompute every invariant of the books
//	kizod secrets   make, check and replace the signing keys and peppers
//	kizod user grant  make a user an operator, or no longer one
//	kizod mockbank  the mock bank alone
//	kizod version   which one this is
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is stamped by the build (see Makefile and .goreleaser.yaml).
var version = "dev"

// Exit codes.
const (
	exitError       = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, cancel := context.WithCancel(context.Background()) // onHangup cancels as well
	drainOnSignal(cancel)
	hangups := make(chan os.Signal, 1)
	command, out := root(hangups, cancel), &stdout{Writer: os.Stdout}
	command.SetOut(out)
	err := command.ExecuteContext(ctx)
	if err == nil {
		err = out.err
	}
	if err == nil {
		return
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	fmt.Fprintln(os.Stderr, "kizod:", err)
	os.Exit(exitCode(err))
}

var errInterrupted = errors.New("interrupted before it was done")

func exitCode(err error) int {
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if errors.Is(err, errInterrupted) {
		return exitInterrupted
	}
	return exitError
}

// root returns the command with all its subcommands. SIGHUP arrives on hangups; what
// it means to a command is decided by onHangup.
func root(hangups chan os.Signal, cancel context.CancelFunc) *cobra.Command {
	cmd := &cobra.Command{
		Use:           "kizod",
		Short:         "The daemon of Kizo, a wallet for the terminal",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.PersistentPreRun = func(cmd *cobra.Command, _ []string) { onHangup(cmd, hangups, cancel) }
	cmd.SetVersionTemplate("kizod {{.Version}}\n")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(devCommand(), serveCommand(hangups), migrateCommand(), repairCommand(), auditCommand(), secretsCommand(), userCommand(), mockbankCommand(), hashWorkerCommand(), versionCommand())
	cmd.SetHelpCommand(helpCommand())
	return cmd
}

// helpCommand shows the help of a command, and fails where there is none.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usageError{err}
			}
			if len(rest) > 0 {
				return usageError{fmt.Errorf("%s has no command %q: see %s --help", about.CommandPath(), rest[0], about.CommandPath())}
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// drainOnSignal cancels with the first SIGINT or SIGTERM; the second one ends the process
// at once. The signals have their default effect again before anything is canceled, so
// that a second one is never lost once draining has begun.
func drainOnSignal(cancel context.CancelFunc) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		cancel()
	}()
}

// onHangup decides what SIGHUP means: kizod serve reloads its secrets, any other command
// ends in good order, as after SIGTERM (kizod dev runs in a terminal, whose end is a
// SIGHUP). A command that was started with SIGHUP ignored, as by nohup, goes on
// ignoring it, except for kizod serve.
func onHangup(cmd *cobra.Command, hangups chan os.Signal, cancel context.CancelFunc) {
	serves := cmd.Name() == serveName
	if !serves && signal.Ignored(syscall.SIGHUP) {
		return
	}
	signal.Notify(hangups, syscall.SIGHUP)
	if !serves {
		go func() {
			<-hangups
			cancel()
		}()
	}
}

// noArguments refuses what a user may have meant as a subcommand.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print which version this is",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "kizod %s\n", version)
			return err
		},
	}
}
