// Command kizod is the server of Kizo.
//
//	kizod dev        run a server with its own PostgreSQL, Redis and mock bank
//	kizod serve      run a server on an existing PostgreSQL and Redis
//	kizod migrate    bring a database to the schema of this version
//	kizod repair     prepare a restored database for serving
//	kizod audit      recompute every invariant of the books
//	kizod backup     say whether a restore of a backup would serve
//	kizod secrets    make, check and replace signing keys and peppers
//	kizod user       change the role of a user, or verify an e-mail address
//	kizod config     check and print the settings
//	kizod health     ask a running kizod whether it is ready
//	kizod mockbank   run the mock bank alone
//	kizod version    print the version
//
// Each command reads its settings (config.go) and calls package server, migrations, ledger or
// auth. Only this command reads settings; the packages have Config structs.
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

// version is set by the build (see Makefile and .goreleaser.yaml).
var version = "dev"

// Exit codes.
const (
	exitError       = 1
	exitUsage       = 2
	exitUnchecked   = 3 // of kizod backup check
	exitInterrupted = 130
)

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, cancel := context.WithCancel(context.Background()) // onHangup cancels it too
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

var errInterrupted = errors.New("interrupted before it was complete")

func exitCode(err error) int {
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[uncheckedError](err); ok {
		return exitUnchecked
	}
	if errors.Is(err, errInterrupted) {
		return exitInterrupted
	}
	return exitError
}

// root returns the command with all its subcommands. SIGHUP is received on hangups; onHangup
// decides what it does.
func root(hangups chan os.Signal, cancel context.CancelFunc) *cobra.Command {
	cmd := &cobra.Command{
		Use:           "kizod",
		Short:         "The server of Kizo, a wallet for the terminal",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.PersistentPreRun = func(cmd *cobra.Command, _ []string) { onHangup(cmd, hangups, cancel) }
	cmd.SetVersionTemplate("kizod {{.Version}}\n")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(devCommand(), serveCommand(hangups), migrateCommand(), repairCommand(), auditCommand(), backupCommand(), secretsCommand(), userCommand(), configCommand(), healthCommand(), mockbankCommand(), hashWorkerCommand(), manCommand(), versionCommand())
	cmd.SetHelpCommand(helpCommand())
	return cmd
}

// helpCommand prints the help of a command, and fails if there is no such command.
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

// drainOnSignal calls cancel at the first SIGINT or SIGTERM. The second ends the process at once:
// the signals have their default effect again before cancel is called, so that it is never lost.
func drainOnSignal(cancel context.CancelFunc) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		cancel()
	}()
}

// onHangup sets what SIGHUP does. kizod serve reloads its secrets. Any other command ends as after
// SIGTERM, since a terminal that closes sends SIGHUP; but if it was started with SIGHUP ignored, as
// by nohup, it continues to ignore it.
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

// noArguments returns an error for an argument, which the user may have meant as a subcommand.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "kizod %s\n", version)
			return err
		},
	}
}
