package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

// maxCompletionWait limits the only request of a completion. A shell waits for the answer at every
// press of the Tab key; with the start of the program it stays below 100 ms.
const maxCompletionWait = 70 * time.Millisecond

// candidate is what a completion offers: a word, and what it means.
type candidate struct {
	Word    string `json:"word"`
	Meaning string `json:"meaning,omitempty"`
}

// fetcher updates what is remembered from the server.
type fetcher func(ctx context.Context, kizo *client.Client, known *knowledge) error

// completer returns the candidates for an argument of a command.
type completer func(a *app, before []string) []candidate

// argumentCompleters complete arguments by the names that commands give them in Use. An argument
// with another name has no completion; only DIR completes names of directories.
var argumentCompleters = map[string]completer{
	"TO":       completePayees,
	"HANDLE":   completeHandlesAt,
	"ALIAS":    nil, // of a payee or of a command: idCompleters
	"CURRENCY": completeCurrencies,
	"ID":       nil, // depends on the command: idCompleters
	"TRANSFER": completeTransfers(anyTransfer, fetchTransfers),
	"KEY":      nil, // a pending key or an API key: idCompleters
	"RUN":      completeRuns,
	"SETTING":  func(*app, []string) []candidate { return plainWords(settings) },
	"OUTCOME":  func(*app, []string) []candidate { return plainWords(outcomes) },
	"QUEUE":    func(*app, []string) []candidate { return plainWords([]string{settlementQueue}) },
	"USER":     completeHandles,
	"METHOD":   func(*app, []string) []candidate { return plainWords(apiMethods) },
}

// idCompleters complete the arguments ID and KEY of these commands.
var idCompleters = map[string]completer{
	"kizo transfers show":    completeTransfers(anyTransfer, fetchTransfers),
	"kizo transfers capture": completeTransfers(openHold, fetchHolds),
	"kizo transfers void":    completeTransfers(openHold, fetchHolds),
	"kizo transfers reverse": completeTransfers(reversible, fetchTransfers),
	"kizo pending drop":      completePending,
	"kizo retry":             completePending,
	"kizo payees remove":     completePayeeAliases,
	"kizo alias remove":      completeCommandAliases,
	"kizo sessions revoke":   completeSessions,
	"kizo keys revoke":       completeAPIKeys,
	"kizo keys rotate":       completeAPIKeys,
}

// flagCompleters complete the values of flags by name. Flags that take a file are fileFlags; the
// other flags without a row here have no completion.
var flagCompleters = map[string]completer{
	"currency":    completeCurrencies,
	"wallet":      completeCurrencies,
	"from-wallet": completeCurrencies,
	"with":        completeHandlesAt,
	"to":          completeHandlesAt,
	"run":         completeRuns,
}

var fileFlags = []string{"config", "ca-file", "file", "results", "secret-file", "input"}

// completeFiles makes the shell offer the names of files. It keeps the order of no candidates, so
// that it differs from what cobra prints after a mistake.
const completeFiles = cobra.ShellCompDirectiveDefault | cobra.ShellCompDirectiveKeepOrder

// isCompletion reports whether a shell asks for a completion.
func isCompletion(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// withoutFiles is the output of a completion. If the command line has a mistake, such as an unknown
// flag, cobra would make the shell offer the names of files.
type withoutFiles struct{ io.Writer }

func (w withoutFiles) Write(line []byte) (int, error) {
	const mistake = cobra.ShellCompDirectiveDefault
	if string(line) != fmt.Sprintf(":%d\n", mistake) {
		return w.Writer.Write(line)
	}
	if _, err := fmt.Fprintf(w.Writer, ":%d\n", cobra.ShellCompDirectiveNoFileComp); err != nil {
		return 0, err
	}
	return len(line), nil
}

// completeAll gives every command and every flag a completion. Without one, cobra makes the shell
// offer the names of files.
func (a *app) completeAll(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		a.completeAll(below)
	}
	if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
		cmd.ValidArgsFunction = a.completeArguments
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if _, known := cmd.GetFlagCompletionFunc(f.Name); known {
			return
		}
		if slices.Contains(fileFlags, f.Name) {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(nil, completeFiles))
			return
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, a.completeFlag(flagCompleters[f.Name]))
	})
}

func (a *app) completeFlag(complete completer) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if complete == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		listed, last := cutList(prefix)
		return offered(complete(a, nil), listed, last), cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) completeArguments(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	fields := a.completeSpacedFields(cmd, prefix)
	names := strings.Fields(cmd.Use)[1:]
	if !cmd.HasParent() && len(args) == 0 { // cobra adds the commands
		candidates := completeCommandAliases(a, nil)
		plugins, _ := a.plugins(cmd)
		for _, p := range plugins {
			if p.State == "used" {
				candidates = append(candidates, candidate{p.Name, p.Path})
			}
		}
		return offered(candidates, "", prefix), cobra.ShellCompDirectiveNoFileComp
	}
	if len(args) >= len(names) {
		return fields, cobra.ShellCompDirectiveNoFileComp
	}
	name := strings.Trim(names[len(args)], "[]")
	if name == "DIR" {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	complete := argumentCompleters[name]
	if complete == nil {
		complete = idCompleters[cmd.CommandPath()]
	}
	if complete == nil {
		return fields, cobra.ShellCompDirectiveNoFileComp
	}
	return append(fields, offered(complete(a, args), "", prefix)...), cobra.ShellCompDirectiveNoFileComp
}

// completeSpacedFields completes the fields after "--json ". The parser takes what follows there
// for an argument, since the value of --json is optional.
func (a *app) completeSpacedFields(cmd *cobra.Command, prefix string) []string {
	if len(a.args) < 2 || a.args[len(a.args)-2] != "--json" {
		return nil
	}
	for _, d := range a.outputs {
		if d.command == cmd {
			listed, last := cutList(prefix)
			return offered(plainWords(d.output.known), listed, last)
		}
	}
	return nil
}

// completeWord completes one of a few words.
func completeWord(words []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return offered(plainWords(words), "", prefix), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeList completes a list of words that are separated by commas.
func completeList(words []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		listed, last := cutList(prefix)
		return offered(plainWords(words), listed, last), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// cutList splits "id,am" into "id," and "am".
func cutList(prefix string) (listed, last string) {
	comma := strings.LastIndexByte(prefix, ',') + 1
	return prefix[:comma], prefix[comma:]
}

// safeWord matches what no shell treats specially. All ids, handles, names of keys and currencies
// match; anything else that a server sends is not offered.
var safeWord = regexp.MustCompile(`^@?[A-Za-z0-9][A-Za-z0-9@._:~+-]{0,119}$`)

// offered returns the candidates that begin with prefix, as cobra prints them. Meanings are texts
// of other people: nothing in them is left that a terminal or a shell could act on.
func offered(candidates []candidate, listed, prefix string) []string {
	var out []string
	for _, c := range candidates {
		if !strings.HasPrefix(c.Word, prefix) || !safeWord.MatchString(c.Word) {
			continue
		}
		if c.Meaning == "" {
			out = append(out, listed+c.Word)
		} else {
			out = append(out, cobra.CompletionWithDesc(listed+c.Word, safeMeaning(c.Meaning)))
		}
	}
	return out
}

func safeMeaning(text string) string {
	text = strings.Map(func(r rune) rune {
		if strings.ContainsRune("`$\\\"'", r) {
			return '?'
		}
		return r
	}, text)
	return printable.Truncate(strings.ReplaceAll(printable.Text(text), `\`, "?"), 60)
}

func plainWords(words []string) []candidate {
	candidates := make([]candidate, len(words))
	for i, word := range words {
		candidates[i].Word = word
	}
	return candidates
}

// completePayees offers the user's own names for payees before the handles.
func completePayees(a *app, _ []string) []candidate {
	return append(completePayeeAliases(a, nil), completeHandlesAt(a, nil)...)
}

func completePayeeAliases(a *app, _ []string) []candidate {
	config, err := a.config()
	if err != nil {
		return nil
	}
	owner, err := uuid.Parse(a.remembered(nil).Owner)
	if err != nil {
		return nil
	}
	path, err := a.payeesPath(config.Server.Value, owner)
	if err != nil {
		return nil
	}
	known, _ := readPayees(path)
	var candidates []candidate
	for _, alias := range known.names() {
		candidates = append(candidates, candidate{alias, known[alias]})
	}
	return candidates
}

func completeCommandAliases(a *app, _ []string) []candidate {
	known, _ := a.aliases()
	var candidates []candidate
	for _, x := range known {
		candidates = append(candidates, candidate{x.Name, x.Command})
	}
	return candidates
}

// completeHandlesAt offers the users whom money went to or came from, the last first.
func completeHandlesAt(a *app, _ []string) []candidate {
	var candidates []candidate
	for _, p := range a.remembered(fetchTransfers).Payees {
		candidates = append(candidates, candidate{"@" + p.Handle, p.Name})
	}
	return candidates
}

// completeHandles is completeHandlesAt for commands that take a handle without the @.
func completeHandles(a *app, _ []string) []candidate {
	candidates := completeHandlesAt(a, nil)
	for i := range candidates {
		candidates[i].Word = strings.TrimPrefix(candidates[i].Word, "@")
	}
	return candidates
}

// completeCurrencies offers the user's own currencies before all others.
func completeCurrencies(a *app, _ []string) []candidate {
	var candidates []candidate
	own := a.remembered(nil).Currencies
	for _, code := range own {
		candidates = append(candidates, candidate{code, money.Currency(code).Name()})
	}
	for _, c := range money.Currencies() {
		if !slices.Contains(own, string(c)) {
			candidates = append(candidates, candidate{string(c), c.Name()})
		}
	}
	return candidates
}

func anyTransfer(knownTransfer) bool { return true }

// openHold reports whether the user can capture or void a transfer.
func openHold(t knownTransfer) bool {
	return t.Kind == string(client.TransferKindAuthorization) && t.State == string(client.Pending) && t.Direction == string(client.In)
}

func reversible(t knownTransfer) bool {
	return t.State == string(client.Posted) && t.Direction == string(client.In) && t.Kind != string(client.TransferKindDeposit)
}

func completeTransfers(want func(knownTransfer) bool, fetch fetcher) completer {
	return func(a *app, _ []string) []candidate {
		var candidates []candidate
		for _, t := range a.remembered(fetch).Transfers {
			if want(t) {
				candidates = append(candidates, candidate{t.ID, t.meaning()})
			}
		}
		return candidates
	}
}

func completeRuns(a *app, _ []string) []candidate {
	runs, _ := a.payRuns()
	var candidates []candidate
	for _, r := range runs {
		candidates = append(candidates, candidate{Word: r.Run})
	}
	return candidates
}

func completePending(a *app, _ []string) []candidate {
	open, _ := a.openIntents()
	var candidates []candidate
	for _, i := range open {
		candidates = append(candidates, candidate{i.Command.Key, i.What})
	}
	return candidates
}

func completeSessions(a *app, _ []string) []candidate {
	return a.remembered(fetchSessions).Sessions
}

func completeAPIKeys(a *app, _ []string) []candidate {
	return a.remembered(fetchAPIKeys).APIKeys
}

// remembered returns what is known about the user at the server, after fetch has had a moment to
// update it. It never fails, asks or prints: a completion without candidates is an answer.
func (a *app) remembered(fetch fetcher) knowledge {
	if path := a.env("KIZO_API_KEY_FILE"); path != "" {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return knowledge{} // reading it could wait, and would take the key from the command
		}
	}
	path := a.knowledgePath()
	if path == "" {
		return knowledge{}
	}
	known := readKnowledge(path)
	token, owner, readable := a.tokenForCompletion()
	if readable && owner != known.Owner {
		known = knowledge{Owner: owner}
	}
	if fetch == nil || token == "" {
		return known
	}
	config, err := a.config()
	if err != nil {
		return known
	}
	kizo, err := a.kizoWith(credential{token: token}, config)
	if err != nil {
		return known
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxCompletionWait)
	defer cancel()
	if fetch(ctx, kizo, &known) == nil {
		writeKnowledge(path, known)
	}
	return known
}

// tokenForCompletion returns the token that is stored, and whose it is. It never renews a token,
// since a renewal that is cut off could lose the session, and reads only files: a keyring or a
// command may be slow or ask the user something. readable says that it has read one.
func (a *app) tokenForCompletion() (token, owner string, readable bool) {
	config, err := a.config()
	if err != nil {
		return "", "", false
	}
	found, err := a.credential()
	if err != nil || found.origin != "" {
		return found.token, "", err == nil
	}
	stored, err := a.sessions(config.Server.Value)
	if err != nil {
		return "", "", false
	}
	if _, isFile := stored.vault.(*fileVault); !isFile {
		return "", "", false
	}
	held, err := stored.Load(context.Background())
	if err != nil || held.AccessToken == "" {
		return "", "", true
	}
	return held.AccessToken, held.User.Id.String(), true
}
