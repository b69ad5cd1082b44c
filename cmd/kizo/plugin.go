package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// pluginPrefix begins the names of plugins: kizo hello runs the program kizo-hello.
const pluginPrefix = "kizo-"

// maxPlugins bounds the list of plugins.
const maxPlugins = 1000

const pluginsHelp = `Programs named kizo-NAME in a directory of PATH are commands of kizo:

  kizo hello world        runs kizo-hello world

Commands of kizo come first, then your aliases, then plugins. A plugin gets the rest of the command line, what kizo reads
from the terminal or a pipe, and these variables. Its exit code is that of kizo.

  KIZO_SERVER, KIZO_CURRENCY, KIZO_CA_FILE, KIZO_CONFIG, KIZO_CONTEXT   what your flags and settings say
  KIZO_BIN                                                              the path of kizo, to run it

A server that a .kizo.toml chose is not among them: kizo itself finds it, and does not send it your credentials. Secrets
are not passed on: KIZO_API_KEY, KIZO_TOKEN and KIZO_WEBHOOK_SECRET are removed; KIZO_API_KEY_FILE is kept. A plugin runs with all your rights
at this computer, as every program does. Install only those that you trust.`

// plugin is a program on PATH.
type plugin struct {
	Name  string `json:"name"`
	Path  string `json:"path"`
	State string `json:"state"` // used, or why not
}

var pluginColumns = []column{{title: "NAME", id: true}, {title: "PATH", free: true}, {title: "STATE"}}

func newPluginsCommand(a *app) *cobra.Command {
	group := newGroup("plugins", "Commands that other programs add", newPluginsListCommand(a))
	group.Long = pluginsHelp
	return group
}

func newPluginsListCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the programs on PATH that are commands of kizo",
		Example: "  kizo plugins list",
		Args:    takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := a.plugins(cmd.Root())
			if err != nil {
				return err
			}
			var rows [][]string
			for _, p := range found {
				rows = append(rows, []string{p.Name, p.Path, p.State})
			}
			return a.printList(output, found, pluginColumns, rows)
		},
	}
	output.addTo(cmd, a, plugin{}, pluginColumns...)
	return cmd
}

// plugins returns the plugins in the order in which they are found.
func (a *app) plugins(root *cobra.Command) ([]plugin, error) {
	aliases, err := a.aliases()
	if err != nil {
		return nil, err
	}
	found := []plugin{}
	first := map[string]string{}
	for _, dir := range filepath.SplitList(a.env("PATH")) {
		if !filepath.IsAbs(dir) {
			continue // what it is depends on the working directory
		}
		paths, _ := filepath.Glob(filepath.Join(dir, pluginPrefix+"*"))
		for _, path := range paths {
			name := strings.TrimPrefix(strings.TrimSuffix(filepath.Base(path), ".exe"), pluginPrefix)
			if !aliasPattern.MatchString(name) || !isProgram(path) || len(found) == maxPlugins {
				continue
			}
			p := plugin{name, path, "used"}
			switch {
			case isBuiltIn(root, name):
				p.State = "not used: kizo " + name + " is a command"
			case slices.ContainsFunc(aliases, func(x commandAlias) bool { return x.Name == name }):
				p.State = "not used: kizo " + name + " is an alias"
			case first[name] != "":
				p.State = "not used: " + first[name] + " comes first"
			default:
				first[name] = path
			}
			found = append(found, p)
		}
	}
	return found, nil
}

func isProgram(path string) bool {
	found, err := exec.LookPath(path)
	return err == nil && found == path
}

// findPlugin returns the path of a plugin; empty if there is none.
func (a *app) findPlugin(root *cobra.Command, name string) (string, error) {
	if !aliasPattern.MatchString(name) {
		return "", nil
	}
	found, err := a.plugins(root)
	if err != nil {
		return "", err
	}
	for _, p := range found {
		if p.Name == name && p.State == "used" {
			return p.Path, nil
		}
	}
	return "", nil
}

// runPlugin runs a plugin. Unless it fails, it does not return where a program can replace itself.
func (a *app) runPlugin(root *cobra.Command, path string, at int) error {
	if err := root.PersistentFlags().Parse(a.args[:at]); err != nil {
		return a.flagError(root, err)
	}
	env, err := a.pluginEnvironment(os.Environ())
	if err != nil {
		return err
	}
	err = replaceProgram(path, append([]string{filepath.Base(path)}, a.args[at+1:]...), env)
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return &exitError{exit: ended.ExitCode(), code: "plugin_failed", err: errors.New(filepath.Base(path) + " failed")}
	}
	return err
}

// pluginEnvironment returns the environment of a plugin: that of kizo with its settings and without
// its secrets.
func (a *app) pluginEnvironment(environment []string) ([]string, error) {
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	set := map[string]string{}
	for _, key := range environmentSettings {
		// A plugin must not take the choice of a directory for that of the user.
		if s := config.of(key); s.Kind != fromProject && s.Kind != fromDefault && s.Value != "" {
			set[variable(key)] = s.Value
		}
	}
	if path := a.explicitConfig(); path != "" {
		set["KIZO_CONFIG"] = path
	}
	if own, err := os.Executable(); err == nil {
		set["KIZO_BIN"] = own
	}
	var out []string
	for _, entry := range environment {
		if name, _, _ := strings.Cut(entry, "="); set[name] == "" && !slices.Contains(secretVariables, name) {
			out = append(out, entry)
		}
	}
	for name, value := range set {
		if value != "" {
			out = append(out, name+"="+value)
		}
	}
	return out, nil
}

// otherCommand handles a command line whose command is not one of kizo's: an alias, which it
// expands, or a plugin, which it runs. done says that nothing is left to do.
func (a *app) otherCommand(root *cobra.Command) (done bool, err error) {
	at := firstWord(root, a.args)
	if at < 0 || isBuiltIn(root, a.args[at]) {
		return false, nil
	}
	trial := *a // the flags before the name choose the configuration
	trial.loaded = nil
	early := newRootCommand(&trial)
	if early.PersistentFlags().Parse(a.args[:at]) != nil {
		return false, nil //nolint:nilerr // running it says so
	}
	expanded, err := trial.expandAlias(root, at)
	if err != nil || expanded {
		a.args = trial.args
		return false, err
	}
	path, err := trial.findPlugin(root, a.args[at])
	if err != nil || path == "" {
		return false, err
	}
	return true, trial.runPlugin(early, path, at)
}
