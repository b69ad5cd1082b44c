// Command kizo is a wallet in a terminal.
//
//	kizo signup --email ada@example.com --handle ada --name "Ada Lovelace"
//	kizo deposit 100
//	kizo transfer @bob 12.50 -m lunch
//	kizo balance
//
// Data goes to stdout, everything else to stderr. A terminal gets tables, a pipe tab-separated
// lines, --json the API's own objects. Exit codes are part of the interface: kizo help exit-codes.
//
//	main ──► run ──► cobra command ──► client ──► kizod
//	          │        │ moves money: move.go records an intent before it sends
//	          │        ▼
//	          │      output.go: table, TSV or JSON on stdout
//	          ▼
//	        problem.go: error on stderr; exit.go: exit code
//
// Each command has a file of its name. The others are:
//
//	run.go          runs a command: context, signals, client
//	root.go         the tree of commands
//	arguments.go    hints for mistyped flags and arguments
//	config.go       settings from flags, environment and files
//	contexts.go     contexts: their settings and their state; context.go has the commands
//	protect.go      the confirmation of money in a protected context
//	replace.go      a log-in in place of another user
//	sessionstore.go the stored session; its vaults are in sessionfile.go, keyring.go and
//	                credentialcommand.go
//	credential.go   the API key or token that replaces it
//	intents.go      the log of commands that move money, for kizo retry
//	move.go         how every command moves money
//	pay_read.go     the rows of a payout file; pay_check.go checks them, pay_send.go sends them,
//	                pay_store.go keeps what a run has done
//	deliver.go      passes events to a receiver, at least once; cursor.go keeps how far it is;
//	                webhook.go posts them to a URL, exec.go runs a command
//	mcp.go          serves an AI agent; mcp_read.go and mcp_transfer.go have its tools
//	completion.go   what a shell offers; knowledge.go keeps what that is made of
//	payees.go       the user's names for payees; alias.go has those for commands
//	plugin.go       programs that are commands
//	man.go          man pages, from the same texts as --help
//	hints.go        what to type after an error; hints_network.go if no server answered
//	stdout.go       results that could not be written
//	trust.go        which servers receive passwords and tokens
//
// Like all clients, the command imports no package of the server.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// Without this, writing to a pipe that has no reader ends the process before it can say what
	// was done.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(os.Args[1:], systemStreams(), os.Getenv))
}
