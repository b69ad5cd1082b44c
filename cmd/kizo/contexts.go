package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A context is a name for a server, a user and their settings, with state of its own:
//
//	$XDG_CONFIG_HOME/kizo/contexts/NAME.toml   its settings and its id
//	$XDG_STATE_HOME/kizo/contexts/ID/          its sessions, intents and payouts
//
// The state belongs to the id, so that a renamed context keeps it, and a new context with the name
// of a removed one does not inherit it. The context "default" has neither file nor id: its settings
// are those of all configuration files, and its state is that of a kizo without contexts.

const defaultContext = "default"

// contextSettings are the valid settings of a context's file.
var contextSettings = []string{"id", "server", "user", "currency", "ca_file", "protected", "credential_store", "credential_command"}

var (
	contextNameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,39}$`)
	contextIDForm   = regexp.MustCompile(`^[0-9a-f]{16}$`)
	handleForm      = regexp.MustCompile(`^[a-z][a-z0-9_]{1,29}$`)
)

func checkContextName(name string) error {
	if !contextNameForm.MatchString(name) {
		return usagef("%s is not the name of a context: use 1 to 40 of the characters a-z, 0-9, point, _ and -", shortened(name))
	}
	return nil
}

func newContextID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails
	return hex.EncodeToString(id[:])
}

// contextsDir returns the directory of the contexts' files; empty for a user without a home
// directory.
func (a *app) contextsDir() string {
	dir := a.configDir()
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "contexts")
}

func (a *app) contextPath(name string) string { return filepath.Join(a.contextsDir(), name+".toml") }

// contextNames returns the names of all contexts, the default one first.
func (a *app) contextNames() ([]string, error) {
	names := []string{defaultContext}
	entries, err := os.ReadDir(a.contextsDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		name, isContext := strings.CutSuffix(entry.Name(), ".toml")
		if isContext && contextNameForm.MatchString(name) && name != defaultContext {
			names = append(names, name)
		}
	}
	return names, nil
}

// readContext returns the settings of a context other than the default one.
func (a *app) readContext(name string) (map[string]string, error) {
	if err := checkContextName(name); err != nil {
		return nil, err
	}
	path := a.contextPath(name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, a.noSuchContext(name)
	}
	values, err := readConfig(path, contextSettings, true)
	if err != nil {
		return nil, err
	}
	if !contextIDForm.MatchString(values["id"]) {
		return nil, withHint(usagef("%s: a context needs an id of 16 hexadecimal digits, which kizo context add makes", path), "kizo context add --help")
	}
	if values["server"] == "" {
		return nil, usagef("%s: a context needs a server", path)
	}
	return values, nil
}

func (a *app) noSuchContext(name string) error {
	err := usagef("there is no context %q", name)
	names, listed := a.contextNames()
	if near := nearestWord(name, names); listed == nil && near != "" && slices.Contains(a.args, name) {
		return &misspelled{err, name, near}
	}
	return withHint(err, "kizo context list")
}

// withContext adds the chosen context to the places of settings, and returns its id. A context that
// --context names overrides the environment, one that is chosen otherwise does not.
func (a *app) withContext(layers []layer, chosen setting) (all []layer, id string, err error) {
	if chosen.Value == defaultContext {
		return layers, "", nil
	}
	values, err := a.readContext(chosen.Value)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", chosen.Origin, err)
	}
	path := a.contextPath(chosen.Value)
	own := layer{fromContext, func(string) string { return path }, values}
	for _, l := range layers {
		if l.kind != fromFlag && l.kind != fromEnvironment {
			delete(l.values, "user") // of the default context
		}
	}
	place := 2 // after flags and environment
	if chosen.Kind == fromFlag {
		place = 1
	}
	return slices.Insert(layers, place, own), values["id"], nil
}

// chosenContext returns the name of the active context, which may not exist.
func (a *app) chosenContext() (setting, error) {
	layers, err := a.layers()
	if err != nil {
		return setting{}, err
	}
	return find(layers, "context"), nil
}

// inContext returns the program as it would be with another context.
func (a *app) inContext(name string) *app {
	other := *a
	other.contextFlag, other.loaded, other.http, other.stores = name, nil, nil, nil
	return &other
}

// stateDir returns the directory of the sessions, the intents and the payouts of the active
// context.
func (a *app) stateDir() (string, error) {
	root, err := a.stateRoot()
	if err != nil {
		return "", err
	}
	config, err := a.config()
	if err != nil {
		return "", err
	}
	if config.ContextID == "" {
		return root, nil
	}
	return filepath.Join(root, "contexts", config.ContextID), nil
}

// namedContext returns the active context, unless it is the default one or not known.
func (a *app) namedContext() (setting, bool) {
	if a.loaded == nil || a.loaded.ContextID == "" {
		return setting{}, false
	}
	return a.loaded.Context, true
}

// inThisContext adds --context to a command line of a hint if the user typed it, so that the hint
// is about the same context.
func (a *app) inThisContext(line string) string {
	rest, isKizo := strings.CutPrefix(line, "kizo ")
	if a.contextFlag == "" || !isKizo || strings.Contains(line, "--context") {
		return line
	}
	return "kizo --context " + shellQuote(a.contextFlag) + " " + rest
}
