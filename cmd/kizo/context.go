package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/internal/printable"
)

func newContextCommand(a *app) *cobra.Command {
	group := newGroup("context", "Servers and users by name", newContextAddCommand(a), newContextUseCommand(a), newContextListCommand(a),
		newContextShowCommand(a), newContextRenameCommand(a), newContextRemoveCommand(a))
	group.Long = "Servers and users by name, with sessions, pending commands and payouts of their own. See kizo help contexts."
	return group
}

// contextEntry is a context as it is printed.
type contextEntry struct {
	Name      string `json:"name"`
	Active    bool   `json:"active"`
	Server    string `json:"server"`
	User      string `json:"user"`     // the handle of its only user; empty: any
	Currency  string `json:"currency"` // of the default wallet; empty: that of the only wallet
	Protected bool   `json:"protected"`
	ID        string `json:"id"` // of its state; empty for the default context
}

var contextColumns = []column{{title: "NAME"}, {title: "ACTIVE"}, {title: "SERVER"}, {title: "USER"}, {title: "CURRENCY", sparse: true},
	{title: "PROTECTED"}, {title: "ID", id: true, drop: 1}}

func (e *contextEntry) row() []string {
	yes := map[bool]string{true: "yes", false: "no"}
	user := e.User
	if user != "" {
		user = "@" + user
	}
	return []string{e.Name, yes[e.Active], e.Server, user, e.Currency, yes[e.Protected], e.ID}
}

// contextEntry describes a context. active is the name of the active one.
func (a *app) contextEntry(name, active string) (contextEntry, error) {
	config, err := a.inContext(name).config()
	if err != nil {
		return contextEntry{}, err
	}
	return contextEntry{
		Name: name, Active: name == active, Server: config.Server.Value, User: config.User.Value, Currency: config.Currency.Value,
		Protected: config.Protected.Value == "true", ID: config.ContextID,
	}, nil
}

// printContext prints a context that a command has changed.
func (a *app) printContext(flags outputFlags, name string, note func()) error {
	a.loaded = nil // it may have changed
	active, err := a.chosenContext()
	if err != nil {
		return err
	}
	entry, err := a.contextEntry(name, active.Value)
	if err != nil {
		return err
	}
	return a.printDone(flags, entry, entry.row(), note)
}

func (a *app) completeContext(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	names, err := a.contextNames()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) }), cobra.ShellCompDirectiveNoFileComp
}

type contextAddOptions struct {
	app            *app
	output         outputFlags
	name           string
	user, currency string
	protected      bool
}

func newContextAddCommand(a *app) *cobra.Command {
	opts := &contextAddOptions{app: a}
	cmd := &cobra.Command{
		Use:   "add NAME --server URL",
		Short: "Add a context",
		Long: `Add a context: a name for a server, and for a user if you give one. It has a session of its own, and its
own pending commands and payouts. kizo login --context NAME begins the session.

In a protected context, kizo asks for the context's name before money moves. kizo config set changes a
setting of a context later.`,
		Example: `  kizo context add work --server https://kizo.example --user ada --currency EUR --protected
  kizo context add local --server http://127.0.0.1:7420
  kizo config set protected true --context local`,
		Args: takes("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			opts.name = args[0]
			return contextAddRun(opts)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	opts.output.addTo(cmd, a, contextEntry{}, contextColumns...)
	flags := cmd.Flags()
	flags.StringVar(&opts.user, "user", "", "the handle of the context's only user")
	flags.StringVar(&opts.currency, "currency", "", "the default wallet, for amounts without a currency")
	flags.BoolVar(&opts.protected, "protected", false, "ask for the context's name before money moves")
	return cmd
}

func contextAddRun(opts *contextAddOptions) error {
	a := opts.app
	if err := checkContextName(opts.name); err != nil {
		return err
	}
	if opts.name == defaultContext {
		return withHint(usagef("the context default always exists: it is kizo without contexts"), "kizo config set server URL")
	}
	if a.serverFlag == "" {
		return withHint(usagef("a context needs a server"), a.commandLine()+" --server "+defaultServer)
	}
	if a.contextsDir() == "" {
		return usagef("cannot locate your configuration: this user has no home directory")
	}
	content := "id = \"" + newContextID() + "\"\n"
	for _, s := range []struct{ key, value string }{
		{"server", a.serverFlag}, {"user", opts.user}, {"currency", opts.currency}, {"ca_file", a.caFileFlag}, {"credential_store", a.storeFlag},
		{"protected", map[bool]string{true: "true"}[opts.protected]},
	} {
		if s.value == "" {
			continue
		}
		value, err := a.checkSetting(s.key, s.value)
		if err != nil {
			return fmt.Errorf("%s: %w", flagName(s.key), err)
		}
		if content, err = withSetting(content, s.key, value); err != nil {
			return err
		}
	}
	if err := a.createContext(opts.name, []byte(content)); err != nil {
		return err
	}
	return a.printContext(opts.output, opts.name, func() {
		a.io.note("Added the context %s: kizo login %s--context %s, kizo context use %s.", opts.name,
			map[bool]string{true: "NAME "}[opts.user == ""], opts.name, opts.name)
	})
}

// createContext writes the file of a context that does not exist. The file is whole when its name
// appears.
func (a *app) createContext(name string, content []byte) error {
	path := a.contextPath(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	written, err := os.CreateTemp(filepath.Dir(path), newContent(path)) // 0600
	if err != nil {
		return err
	}
	defer os.Remove(written.Name())
	_, err = written.Write(content)
	if err = errors.Join(err, written.Sync(), written.Close()); err != nil {
		return err
	}
	if err := os.Link(written.Name(), path); err != nil { // unlike a rename, it replaces nothing
		if errors.Is(err, fs.ErrExist) {
			return withHint(usagef("the context %s exists already", name), "kizo context show "+name)
		}
		return err
	}
	return syncDir(filepath.Dir(path))
}

func newContextUseCommand(a *app) *cobra.Command {
	flags := &outputFlags{}
	cmd := &cobra.Command{
		Use:     "use NAME",
		Short:   "Make a context the active one",
		Long:    "Make a context the active one, for all commands without --context and KIZO_CONTEXT.",
		Example: "  kizo context use work\n  kizo context use default",
		Args:    takes("NAME"),
		RunE:    func(_ *cobra.Command, args []string) error { return contextUseRun(a, *flags, args[0]) },

		ValidArgsFunction: a.completeContext,
	}
	flags.addTo(cmd, a, contextEntry{}, contextColumns...)
	return cmd
}

func contextUseRun(a *app, flags outputFlags, name string) error {
	if a.contextFlag != "" {
		return usagef("--context is for one command, and kizo context use for those that follow: use one of them")
	}
	if err := a.useContext(name); err != nil {
		return err
	}
	return a.printContext(flags, name, func() {
		a.io.note("The context %s is used from now on.", name)
		if active, err := a.chosenContext(); err == nil && active.Value != name {
			a.io.note("%s overrides it here, from %s.", active.Value, printable.Text(active.Origin))
		}
	})
}

// useContext stores which context is the active one.
func (a *app) useContext(name string) error {
	if _, err := a.checkSetting("context", name); err != nil {
		return err
	}
	path, err := a.configToWrite("context")
	if err != nil {
		return err
	}
	if name == defaultContext {
		name = ""
	}
	return editConfig(path, "context", name)
}

func newContextListCommand(a *app) *cobra.Command {
	flags := &outputFlags{}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the contexts",
		Example: "  kizo context list",
		Args:    takes(""),
		RunE:    func(*cobra.Command, []string) error { return contextListRun(a, *flags) },
	}
	flags.addTo(cmd, a, contextEntry{}, contextColumns...)
	return cmd
}

func contextListRun(a *app, flags outputFlags) error {
	active, err := a.chosenContext()
	if err != nil {
		return err
	}
	names, err := a.contextNames()
	if err != nil {
		return err
	}
	entries := []contextEntry{}
	var rows [][]string
	for _, name := range names {
		entry, err := a.contextEntry(name, active.Value)
		if err != nil {
			return err
		}
		entries, rows = append(entries, entry), append(rows, entry.row())
	}
	return a.printList(flags, entries, contextColumns, rows)
}

func newContextShowCommand(a *app) *cobra.Command {
	flags := &outputFlags{}
	cmd := &cobra.Command{
		Use:     "show [NAME]",
		Short:   "Show the active context, or another one",
		Example: "  kizo context show\n  kizo context show --json=name",
		Args:    takes("[NAME]"),
		RunE: func(_ *cobra.Command, args []string) error {
			active, err := a.chosenContext()
			if err != nil {
				return err
			}
			name := active.Value
			if len(args) > 0 {
				name = args[0]
			}
			entry, err := a.contextEntry(name, active.Value)
			if err != nil {
				return err
			}
			return a.printOne(*flags, entry, contextColumns, entry.row())
		},
		ValidArgsFunction: a.completeContext,
	}
	flags.addTo(cmd, a, contextEntry{}, contextColumns...)
	return cmd
}

func newContextRenameCommand(a *app) *cobra.Command {
	flags := &outputFlags{}
	cmd := &cobra.Command{
		Use:     "rename NAME NEW",
		Short:   "Rename a context",
		Long:    "Rename a context. It keeps its session, pending commands and payouts.",
		Example: "  kizo context rename work office",
		Args:    takes("NAME NEW"),
		RunE:    func(_ *cobra.Command, args []string) error { return contextRenameRun(a, *flags, args[0], args[1]) },

		ValidArgsFunction: a.completeContext,
	}
	flags.addTo(cmd, a, contextEntry{}, contextColumns...)
	return cmd
}

func contextRenameRun(a *app, flags outputFlags, name, newName string) error {
	if name == defaultContext || newName == defaultContext {
		return usagef("the context default always exists: it cannot be renamed, and no other can have its name")
	}
	if _, err := a.readContext(name); err != nil {
		return err
	}
	if err := checkContextName(newName); err != nil {
		return err
	}
	content, err := os.ReadFile(a.contextPath(name))
	if err != nil {
		return err
	}
	// A crash in between leaves two names for one context, of which the active one exists.
	if err := a.createContext(newName, content); err != nil {
		return err
	}
	if err := a.replaceActive(name, newName); err != nil {
		return err
	}
	if err := removeFile(a.contextPath(name)); err != nil {
		return err
	}
	return a.printContext(flags, newName, func() { a.io.note("The context %s is now %s.", name, newName) })
}

// replaceActive stores that another context is the active one, if name is. An empty one is the
// default context.
func (a *app) replaceActive(name, other string) error {
	own := *a
	own.contextFlag = ""
	path, err := own.configToWrite("context")
	if err != nil {
		return err
	}
	values, err := readConfig(path, settings, false)
	if err != nil || values["context"] != name {
		return err
	}
	return editConfig(path, "context", other)
}
