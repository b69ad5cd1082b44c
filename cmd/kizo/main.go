// Command kizo is a wallet in a terminal.
//
//	kizo signup --email ada@example.com --handle ada --name "Ada Lovelace"
//	kizo deposit 100
//	kizo transfer @bob 12.50 -m lunch
//	kizo balance
//
// Data goes to stdout, everything else to stderr. A terminal gets tables, a pipe tab-separated lines,
// --json the API's own objects. The exit code says what happened: kizo help exit-codes.
//
// A file here is a command. Besides them: run.go starts one, exit.go and problem.go end it badly,
// config.go reads settings, sessionfile.go keeps who you are, intents.go what was about to be sent,
// and move.go is the way of everything that moves money.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], systemStreams(), os.Getenv))
}
