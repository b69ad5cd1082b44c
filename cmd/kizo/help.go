package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newHelpCommand shows the help of a command or a topic, and fails if there is none.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command or a topic",
		Example: `  kizo help transfers list
  kizo help exit-codes`,
		GroupID: "kizo",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if about, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
				for _, name := range commandNames(about) {
					if strings.HasPrefix(name, prefix) {
						names = append(names, name)
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usage(err)
			}
			if len(rest) > 0 {
				return noHelp(about, rest[0])
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

func noHelp(about *cobra.Command, word string) error {
	path := strings.TrimPrefix(about.CommandPath()+" ", "kizo ")
	err := usagef("there is no help for %q", path+word)
	if near := nearestWord(word, commandNames(about)); near != "" {
		return withHint(err, "kizo help "+path+near)
	}
	return withHint(err, strings.TrimSpace("kizo help "+path))
}

// noSuchHelp refuses --help after a command that does not exist. Cobra would show the help of the
// group and exit with 0.
func noSuchHelp(root *cobra.Command, args []string) error {
	group, rest, err := root.Find(args)
	if err != nil || !group.HasSubCommands() {
		return nil //nolint:nilerr // running it says so
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.Usage = func() {}
	flags.AddFlagSet(group.PersistentFlags())
	flags.AddFlagSet(group.InheritedFlags())
	err = flags.Parse(slices.Clone(rest))
	if !errors.Is(err, pflag.ErrHelp) || flags.NArg() == 0 {
		return nil
	}
	return noSuchCommand(group, flags.Args())
}

// helpTopics returns the pages of kizo help that are not commands.
func helpTopics(outputs []documented) []*cobra.Command {
	return []*cobra.Command{
		{Use: "money", Short: "Amounts, currencies and holds", Long: moneyHelp()},
		{Use: "exit-codes", Short: "The exit codes", Long: exitCodesHelp()},
		{Use: "environment", Short: "Environment variables and files", Long: environmentHelp()},
		{Use: "contexts", Short: "Several servers and users", Long: contextsHelp},
		{Use: "credentials", Short: "Where sessions are kept", Long: credentialsHelp},
		{Use: "api-keys", Short: "API keys for scripts", Long: apiKeysHelp},
		{Use: "formatting", Short: "Output formats", Long: formattingHelp + columnsHelp(outputs)},
		{Use: "dashboard-file", Short: "Keys, colors and commands of the dashboard", Long: dashboardFileHelp},
		{Use: "batch", Short: "Payouts from a file", Long: batchHelp},
	}
}

const contextsHelp = `A context is a name for a server, and for a user if you give one:

  kizo context add work --server https://kizo.example --user ada --currency EUR --protected
  kizo login --context work
  kizo context use work

Each context has its own session, its own pending commands (kizo pending, kizo retry) and its own payouts
(kizo pay), so that people who share a computer account, or one person with several accounts, do not mix them.
The context default is kizo without contexts: its settings are those of the configuration files.

The context of a command is the first of these: --context NAME, KIZO_CONTEXT, what kizo context use
stored, default. A context's settings override those of .kizo.toml and of the other files, except
that KIZO_SERVER and the other variables override a context that --context does not name.
kizo whoami and kizo context list show what is in effect, and errors name the context.

In a protected context, kizo asks for its name before money moves: transfers, deposits, withdrawals,
payouts, captures, voids, reversals, retries, and kizo api with another method than GET. A script
says --confirm-context NAME. Without it and without a terminal, nothing is sent and the exit code is 2. In any
context, a --confirm-context that names another one is refused. The dashboard is read-only without it.

kizo login asks before it replaces the session of another user; a script says --replace. A context with a user
refuses the session of any other.`

const credentialsHelp = `The setting credential_store (--credential-store, KIZO_CREDENTIAL_STORE) says where sessions are kept:

  file      a file that only you can read, under $XDG_STATE_HOME/kizo; the default
  keyring   the keyring of the system: the Secret Service on Linux (GNOME Keyring, KWallet, KeePassXC),
            the Keychain on macOS, the Credential Manager on Windows
  command   a program of yours, named by the setting credential_command

  kizo config set credential_store keyring
  kizo login ada

A context can have another store than the rest. kizo auth status says where a session is, and whether
something overrides it. There is no fallback: a keyring that is locked or gives no answer within 3 s, or a program
that fails or takes more than 10 s, is an error, and no token is written to a file. Before kizo uses a refresh
token, it makes sure that the next one can be stored. After a change of the store, log in again.

credential_command is a program and its arguments, without a shell. kizo adds one argument: get, store or
erase. The program reads one JSON object from stdin:

  {"version": 1, "key": "kizo/default/kizo.example-0a1b2c3d", "context": "default", "server": "https://kizo.example"}

store has the member "secret", one line of text, to be kept under the key. get prints
{"secret": "..."}, or {} if there is none. erase removes it. An exit code other than 0 is an error, of which
kizo shows the last line of stderr. docs/kizo-credential-pass is such a program for pass.`

const apiKeysHelp = `An API key lets a script act as you, within limits, without a session:

  kizo keys create --name reports --scope read --secret-file reports.key
  KIZO_API_KEY_FILE=reports.key kizo balance

A key is read from KIZO_API_KEY, from the first line of the file KIZO_API_KEY_FILE, or with --api-key-stdin
from the first line of stdin; never from the command line, which others can see. In GitHub Actions or cron
nothing else is needed.

The scopes of a key say what it may do:
  read              see balances, transfers and events; find users
  transfers:write   transfer, authorize, capture, void, reverse; open a wallet
  bank:write        deposit and withdraw; open a wallet
  ops:read          see what operators see; for operators
  ops:write         act as an operator; for operators
Most commands that move money also read, so that a key for them usually has both scopes. No key can
create or change keys, change who you are, or end sessions: log in for that.

The ledger enforces the limits of a key, however many scripts share it: --max-per-transfer and
--max-per-day (a day in UTC), --from-wallet and --to. A key with one of them spends only in the
currencies that they name. An authorization and a withdrawal count when they are made; what is not
captured, is voided, expires or is rejected by the bank is given back. A transfer beyond a limit is
refused with limit_exceeded, and stays refused under its idempotency key. Limits of your own (kizo limits)
hold for a key too; kizo limits show shows both.

A key works from the addresses of --ip, or from all. It expires after 90 days unless --expires says
otherwise. kizo keys rotate gives it a new secret, while the earlier one stays valid for a day or for the
time of --overlap; kizo keys revoke ends it at once, everywhere. kizo keys list shows when each was last used, and
kizo sessions history when one was refused.

kizo login --api-key-stdin keeps a key where the context keeps its session: in a file, the system's keyring, or
with a credential command.

Secret scanners recognize a key by kizo_live_ and by its last six characters, which are a checksum.`

const formattingHelp = `Data goes to stdout, everything else to stderr.

-o, --output FORMAT is one of:
  table   aligned columns, times as ages; the default on a terminal. Columns that do not fit are cut or left
          out, ids, states and amounts never are
  wide    the same with every column whole
  tsv     a line for each row, with a tab between the fields; the default in a pipe, without a header
  csv     the same with commas, quotes where needed (RFC 4180, lines end with LF), and a header
  json    the API's own objects; a list is an array
  jsonl   one object on each line
  id      one id on each line
--header and --no-header add the names of the columns, or leave them out.

In tsv and csv nothing is cut and times are RFC 3339 (UTC). Amounts are decimal and have their currency:
12.50 USD. A memo, name, reason or other text that a person or another program chose gets an apostrophe
before it if it begins with one of = + - @ | % or an apostrophe: a spreadsheet reads such a text as a formula.
A program removes one leading apostrophe, or uses JSON, where every text is unchanged.

In JSON, amounts are integers in minor units: 12.50 USD is {"amount": 1250, "currency": "USD"}.
An error is then one problem object (RFC 9457) on stderr, with a stable code and the exit_code.
  --json             is -o json
  --json=id,amount   prints only those fields; --json=help lists them
  --jq FILTER        applies a filter of jq to the JSON, to each object with -o jsonl. Strings are
                     printed without quotes. The program jq is not needed
  --template TEXT    applies a template of Go (pkg.go.dev/text/template) to the JSON.
                     {{money .amount .currency}} is 12.50 USD, {{json .}} is JSON, and a field without
                     a value is empty:
  kizo transfers list --template '{{range .}}{{.id}} {{money .amount .currency}}{{"\n"}}{{end}}'

On a terminal, states have colors (green, yellow or red, never without their word), and a list that is
longer than the screen goes through a pager. --watch, on commands that only read, prints again every
2 s, or --watch=500ms, until Ctrl-C: on a terminal in place, in a pipe as jsonl when something changes.

Names, memos and reasons are untrusted. Control characters, marks that change the direction of writing
and invisible characters in them are printed as \u{202e}; in JSON as \u202e.

Columns and JSON fields keep their names, columns also their places. New columns are added at the end; new
fields anywhere, so a program ignores those that it does not know.

`

// columnsHelp lists the columns of each command.
func columnsHelp(outputs []documented) string {
	out := "The columns of tsv and csv:\n"
	for _, d := range outputs {
		if len(d.output.columns) == 0 {
			continue
		}
		line := "  " + d.command.CommandPath() + ":"
		for _, name := range columnNames(d.output.columns) {
			if len(line)+1+len(name) > 100 {
				out, line = out+line+"\n", "     "
			}
			line += " " + name
		}
		out += line + "\n"
	}
	return strings.TrimSuffix(out, "\n")
}
