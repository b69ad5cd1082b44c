package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

// payeeAliases are the user's own names for handles, such as rent for @bob. They are kept in a file
// of the configuration directory: a handle belongs to a server, and a name for it to a user.
type payeeAliases map[string]string

// maxPayeeAliases bounds the file.
const maxPayeeAliases = 1000

var (
	aliasPattern  = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,29}$`)
	handlePattern = regexp.MustCompile(`^@[a-z][a-z0-9_]{1,29}$`)
)

const payeesHelp = `Your own names for payees:

  kizo payees add rent @bob
  kizo transfer rent 800

A name stands for one handle at one server, and is yours alone. It never stands in place of a handle, since a handle is
written with an @. kizo shows both: to @bob (rent). Files of kizo pay and the API take handles.`

func newPayeesCommand(a *app) *cobra.Command {
	group := newGroup("payees", "Your own names for payees",
		newPayeesAddCommand(a), newPayeesListCommand(a), newPayeesRemoveCommand(a))
	group.Long = payeesHelp
	return group
}

// payeeEntry is an alias as it is printed.
type payeeEntry struct {
	Alias  string `json:"alias"`
	Handle string `json:"handle"`
}

var payeeColumns = []column{{title: "ALIAS", id: true}, {title: "HANDLE"}}

func newPayeesAddCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:     "add ALIAS HANDLE",
		Short:   "Name a payee",
		Long:    "Name the user with this handle. A name of another payee is not replaced: remove it first.",
		Example: "  kizo payees add rent @bob",
		Args:    takes("ALIAS HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return payeesAdd(cmd.Context(), a, output, args[0], args[1])
		},
	}
	output.addTo(cmd, a, payeeEntry{}, payeeColumns...)
	return cmd
}

func payeesAdd(ctx context.Context, a *app, flags outputFlags, alias, handle string) error {
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	if handle, err = a.addPayee(ctx, kizo, alias, handle); err != nil {
		return err
	}
	return a.printDone(flags, payeeEntry{alias, handle}, []string{alias, handle}, func() { a.io.note("%s is %s.", alias, handle) })
}

// addPayee names the user with a handle, and returns the handle as it is kept.
func (a *app) addPayee(ctx context.Context, kizo *client.Client, alias, handle string) (string, error) {
	if !aliasPattern.MatchString(alias) {
		return "", usagef("%q is not a name: use at most 30 lower-case letters, digits, dashes and underscores, a letter first", alias)
	}
	handle = "@" + strings.ToLower(strings.TrimPrefix(handle, "@"))
	if !handlePattern.MatchString(handle) {
		return "", withHint(usagef("%q is not a handle", handle), "kizo payees add "+alias+" @HANDLE")
	}
	people, err := kizo.SearchUsers(ctx, handle[1:])
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(people, func(p client.Person) bool { return p.Handle == handle[1:] }) {
		err := &exitError{exit: exitNotFound, code: string(client.PayeeNotFound), err: fmt.Errorf("there is no user %s", handle)}
		if near := nearestHandle(ctx, kizo, handle); near != "" {
			return "", &misspelled{err, handle, "@" + near}
		}
		return "", err
	}
	return handle, a.changePayees(ctx, kizo, func(known payeeAliases) error {
		if old := known[alias]; old != "" && old != handle {
			return withHint(usagef("%s is %s already", alias, old), "kizo payees remove "+alias)
		}
		if known[alias] == "" && len(known) >= maxPayeeAliases {
			return usagef("there are %d names already, the most that are kept", len(known))
		}
		known[alias] = handle
		return nil
	})
}

func newPayeesListCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List your names for payees",
		Example: "  kizo payees list",
		Args:    takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			kizo, err := a.kizo()
			if err != nil {
				return err
			}
			known, err := a.payeesOf(cmd.Context(), kizo)
			if err != nil {
				return err
			}
			entries := []payeeEntry{}
			var rows [][]string
			for _, alias := range known.names() {
				entries, rows = append(entries, payeeEntry{alias, known[alias]}), append(rows, []string{alias, known[alias]})
			}
			return a.printList(output, entries, payeeColumns, rows)
		},
	}
	output.addTo(cmd, a, payeeEntry{}, payeeColumns...)
	return cmd
}

func newPayeesRemoveCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:     "remove ALIAS",
		Short:   "Forget a name of a payee",
		Example: "  kizo payees remove rent",
		Args:    takes("ALIAS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			kizo, err := a.kizo()
			if err != nil {
				return err
			}
			removed, err := a.removePayee(cmd.Context(), kizo, args[0])
			if err != nil {
				return err
			}
			return a.printDone(output, removed, []string{removed.Alias, removed.Handle}, func() {
				a.io.note("%s is no name of %s any more.", removed.Alias, removed.Handle)
			})
		},
	}
	output.addTo(cmd, a, payeeEntry{}, payeeColumns...)
	return cmd
}

// removePayee forgets a name, and returns what it stood for.
func (a *app) removePayee(ctx context.Context, kizo *client.Client, alias string) (payeeEntry, error) {
	removed := payeeEntry{Alias: alias}
	err := a.changePayees(ctx, kizo, func(known payeeAliases) error {
		if removed.Handle = known[alias]; removed.Handle == "" {
			return noSuchAlias(alias, known)
		}
		delete(known, alias)
		return nil
	})
	return removed, err
}

func noSuchAlias(alias string, known payeeAliases) error {
	err := &exitError{exit: exitNotFound, code: "payee_alias_not_found", err: fmt.Errorf("you have no payee named %q", alias)}
	if near := nearestWord(alias, known.names()); near != "" {
		return &misspelled{err, alias, near}
	}
	return withHint(err, "kizo payees list")
}

func (p payeeAliases) names() []string {
	var names []string
	for alias := range p {
		names = append(names, alias)
	}
	slices.Sort(names)
	return names
}

// resolvePayee returns the handle that an alias stands for, and any other payee as it is.
func (a *app) resolvePayee(ctx context.Context, kizo *client.Client, to string) (payee string, err error) {
	if !aliasPattern.MatchString(to) || uuid.Validate(to) == nil || !a.hasPayees() {
		return to, nil
	}
	known, err := a.payeesOf(ctx, kizo)
	if err != nil || known[to] == "" {
		return to, err
	}
	a.payeeAlias, a.payeeHandle = to, known[to]
	return known[to], nil
}

// withAlias adds the alias that the user typed to a handle: @bob (rent).
func (a *app) withAlias(handle string) string {
	if a.payeeAlias == "" || handle != a.payeeHandle {
		return handle
	}
	return handle + " (" + a.payeeAlias + ")"
}

// hasPayees reports whether anybody has named a payee here. Without it, an API key would cost a
// request to find out whose aliases apply.
func (a *app) hasPayees() bool {
	files, _ := filepath.Glob(filepath.Join(a.payeesDir(), "*.toml"))
	return len(files) > 0
}

func (a *app) payeesDir() string { return filepath.Join(a.configDir(), "payees") }

// payeesPath returns the file of a user at a server.
func (a *app) payeesPath(server string, user uuid.UUID) (string, error) {
	if a.configDir() == "" {
		return "", withHint(usagef("cannot locate your configuration: this user has no home directory"),
			"XDG_CONFIG_HOME=/a/private/directory "+a.commandLine())
	}
	return filepath.Join(a.payeesDir(), newSessionStore("", server).name+"-"+user.String()+".toml"), nil
}

func (a *app) payeesOf(ctx context.Context, kizo *client.Client) (payeeAliases, error) {
	who, err := a.who(ctx, kizo)
	if err != nil {
		return nil, err
	}
	path, err := a.payeesPath(kizo.Server(), who.Id)
	if err != nil {
		return nil, err
	}
	return readPayees(path)
}

func readPayees(path string) (payeeAliases, error) {
	known := payeeAliases{}
	text, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the names of payees are not used: %w", err)
	}
	values, err := parseConfig(text)
	if err != nil {
		return nil, usagef("%s: %w", path, err)
	}
	for key, value := range values {
		alias := strings.TrimPrefix(key, payeesTable) // a file written by hand may have the table
		handle, isText := value.(string)
		if !isText || !aliasPattern.MatchString(alias) || !handlePattern.MatchString(handle) {
			return nil, usagef("%s: %s = %q is not a name and a handle", path, alias, value)
		}
		known[alias] = handle
	}
	return known, nil
}

// payeesTable begins the names in a file that has them in a table [payees].
const payeesTable = "payees."

// edit returns the text of a file of payees p that has those of after. Comments stay.
func (p payeeAliases) edit(text string, after payeeAliases) (string, error) {
	values, err := parseConfig([]byte(text))
	if err != nil {
		return "", err
	}
	for _, alias := range slices.Concat(p.names(), after.names()) {
		if p[alias] == after[alias] {
			continue
		}
		key := alias
		if splitSettings(text).hasTable(payeesTable) && values[alias] == nil {
			key = payeesTable + alias
		}
		if text, err = withSetting(text, key, after[alias]); err != nil {
			return "", err
		}
	}
	return text, nil
}

// changePayees changes the file under a lock. The file is text, so that it can be copied and kept
// under version control.
func (a *app) changePayees(ctx context.Context, kizo *client.Client, change func(payeeAliases) error) error {
	who, err := a.who(ctx, kizo)
	if err != nil {
		return err
	}
	path, err := a.payeesPath(kizo.Server(), who.Id)
	if err != nil {
		return err
	}
	if err := makePrivateDir(filepath.Dir(path)); err != nil {
		return err
	}
	unlock, err := lockFile(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	known, err := readPayees(path)
	if err != nil {
		return err
	}
	before := maps.Clone(known)
	if err := change(known); err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text := string(content)
	if len(before) == 0 && text == "" {
		text = "# The payees of @" + who.Handle + " at " + kizo.Server() + ": kizo payees --help\n"
	}
	if text, err = before.edit(text, known); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	removeLeftovers(path)
	return replaceFile(path, []byte(text))
}
