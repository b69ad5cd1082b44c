// Command kizo is a wallet in a terminal.
//
//	kizo signup --email ada@example.com --handle ada --name "Ada Lovelace"
//	kizo deposit 100
//	kizo transfer @bob 12.50 -m lunch
//	kizo balance
//
// Data goes to stdout, everything else to stderr. A terminal gets tables, a pipe tab-separated
// lines, --json the API's own objects. The exit codes are part of the interface: kizo help
// exit-codes.
//
// A file here is a command. Besides them: run.go starts one, exit.go and problem.go end it badly, stdout.go
// tells a result that could not be written from one that failed,
// config.go reads settings, sessionfile.go keeps who you are, intents.go what was about to be sent,
// and move.go is the way of everything that moves money.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// Without this, writing to a pipe that has no reader ends the process before it can say what was done.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(os.Args[1:], systemStreams(), os.Getenv))
}
