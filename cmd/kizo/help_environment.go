package main

import "fmt"

// variables are the environment variables that kizo reads, in the order of kizo help environment.
var variables = []struct{ name, meaning string }{
	{"KIZO_SERVER", "address of the server; " + defaultServer + " if nothing says otherwise"},
	{"KIZO_CONTEXT", "the context to act in: kizo help contexts; --context decides first"},
	{"KIZO_CREDENTIAL_STORE", "where sessions are kept: kizo help credentials"},
	{"KIZO_CREDENTIAL_COMMAND", "the command that keeps them: kizo help credentials"},
	{"KIZO_CURRENCY", "the currency of amounts without one; kizo config set currency stores it"},
	{"KIZO_API_KEY", "an API key to use instead of a session; it is never stored: kizo help api-keys"},
	{"KIZO_API_KEY_FILE", "a file whose first line is the API key"},
	{"KIZO_TOKEN", "an access token to use instead of a session; it is never stored"},
	{"KIZO_CA_FILE", "certificates (PEM) to trust besides those of the system"},
	{"KIZO_INSECURE_HTTP", "1 lets passwords and tokens go unencrypted to another computer, as --insecure-http does"},
	{"KIZO_WEBHOOK_SECRET", "the secret that signs the webhooks of kizo listen, instead of the one in its file"},
	{"KIZO_CONFIG", "a configuration file to read instead of all others"},
	{"KIZO_GLYPHS", "how the dashboard draws charts: braille, blocks or ascii; decided by TERM if not set"},
	{"KIZO_ACCESSIBLE", "1: plain lines in place of the dashboard, and none is drawn again: kizo status --watch"},
	{"KIZO_PAGER", "shows lists that are longer than the terminal; PAGER, then less -FIRX if not set, none if empty"},
	{"PAGER", "see KIZO_PAGER"},
	{"VISUAL", "the editor of kizo config edit; EDITOR if not set"},
	{"EDITOR", "see VISUAL"},
	{"NO_COLOR", "no colors in tables, unless --color says otherwise"},
	{"CLICOLOR", "0 is the same as NO_COLOR"},
	{"CLICOLOR_FORCE", "1: colors also in a pipe"},
	{"TERM", "dumb: no colors, and no dashboard"},
	{"TZ", "the time zone in which days begin, such as Europe/Berlin; the computer's if not set"},
	{"TRACEPARENT", "a trace to join (W3C Trace Context); without it, each command starts one"},
	{"TMUX", "set by tmux: the dashboard then copies through it"},
	{"PATH", "where plugins are: kizo plugins --help"},
	{"SHELL", "the shell whose completion kizo doctor checks"},
	{"XDG_CONFIG_HOME", "where kizo/config.toml is; ~/.config if not set"},
	{"XDG_STATE_HOME", "where kizo keeps its state; ~/.local/state if not set"},
	{"XDG_DATA_HOME", "where kizo doctor looks for the completion of bash; ~/.local/share if not set"},
	{"HOME", "~, if it is an absolute path; otherwise the home of the password database"},
}

func environmentHelp() string {
	out := "Variables:\n"
	for _, v := range variables {
		out += fmt.Sprintf("  %-23s %s\n", v.name, v.meaning)
	}
	return out + `
An empty variable other than KIZO_PAGER counts as not set. Relative paths in XDG variables are ignored. An empty flag,
argument or setting in a file is an error.

Files:
  .kizo.toml                                server and currency for a directory and those below it
  $XDG_CONFIG_HOME/kizo/config.toml         your settings
  $XDG_CONFIG_HOME/kizo/contexts/           contexts, one file for each
  $XDG_CONFIG_HOME/kizo/payees/             your names for payees, one file for each server and user
  $XDG_CONFIG_HOME/kizo/dashboard.toml      the dashboard: keys, colors, filters, commands; kizo help dashboard-file
  /etc/kizo/config.toml                     settings for all users of this computer
  $XDG_STATE_HOME/kizo/sessions/            sessions, one file for each server; they hold tokens in
                                            plain text, and only you may read them, unless the
                                            credential store is another one: kizo help credentials
  $XDG_STATE_HOME/kizo/intents.jsonl        commands that were about to be sent: kizo pending
  $XDG_STATE_HOME/kizo/listen/              how far kizo listen and kizo events --exec are, and the secrets of webhooks
  $XDG_STATE_HOME/kizo/pay/                 payouts from files, and until they are finished a copy of their rows
  $XDG_STATE_HOME/kizo/completion/          what completions remember; kizo logout removes it
  $XDG_STATE_HOME/kizo/contexts/            the same for each context but the default one, by its id

A configuration file looks like this; every setting is optional:
  server = "https://kizo.example"
  currency = "EUR"
  ca_file = "own-ca.pem"          # relative to this file
  credential_store = "keyring"    # kizo help credentials
  context = "work"                # the active context: kizo context use
  user = "ada"                    # the only user of the default context
  protected = true                # of the default context: kizo help contexts

Sessions belong to a context, a server and a state directory: with another XDG_STATE_HOME you are another user.
An API key or KIZO_TOKEN is not sent to a server that a .kizo.toml chose, and a password only if you have logged in there
before or confirm it: name the server in KIZO_SERVER or --server. Redirects are not followed.`
}
