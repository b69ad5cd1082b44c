package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/viper"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

const (
	defaultServer     = "http://127.0.0.1:7420"
	projectConfigName = ".kizo.toml"
)

// settings are the valid settings of a configuration file.
var settings = []string{"server", "currency", "ca_file", "context", "user", "protected", "credential_store", "credential_command"}

// projectSettings are those that a .kizo.toml may contain. Another person may have written that
// file, so it can choose neither the context nor which certificates to trust.
var projectSettings = []string{"server", "currency"}

// environmentSettings are those that a variable overrides. None of them lifts a protection.
var environmentSettings = []string{"server", "currency", "ca_file", "context", "credential_store", "credential_command"}

// isSwitch reports whether a setting is true or false.
func isSwitch(key string) bool { return key == "protected" }

// origin is the kind of place that a setting came from. See layers for which one wins.
type origin int

const (
	fromFlag origin = iota
	fromEnvironment
	fromContext
	fromProject
	fromFile
	fromDefault
)

// setting is a value and its origin.
type setting struct {
	Value  string
	Kind   origin
	Origin string // for the user: "--server", "KIZO_SERVER", a path, "default"
}

// config is the result of flags, environment and files, in that order.
type config struct {
	Server   setting
	Currency setting // empty: the currency of the only wallet
	CAFile   setting // certificates to trust besides those of the system; empty: none

	Context   setting // the name of the active context
	ContextID string  // empty for the default context
	User      setting // the handle of the context's user; empty: any
	Protected setting // "true": the user confirms by the context's name before money moves

	CredentialStore   setting // one of credentialStores
	CredentialCommand setting // a program and its arguments, for the store "command"

	OwnServer string // the server according to all places but .kizo.toml
}

// of returns the setting with this key.
func (c *config) of(key string) setting {
	return map[string]setting{
		"server": c.Server, "currency": c.Currency, "ca_file": c.CAFile,
		"context": c.Context, "user": c.User, "protected": c.Protected,
		"credential_store": c.CredentialStore, "credential_command": c.CredentialCommand,
	}[key]
}

// layer is one place that settings come from.
type layer struct {
	kind   origin
	name   func(key string) string
	values map[string]string
}

// config reads the configuration once.
func (a *app) config() (*config, error) {
	if a.loaded != nil {
		return a.loaded, nil
	}
	layers, err := a.layers()
	if err != nil {
		return nil, err
	}
	chosen := find(layers, "context")
	layers, id, err := a.withContext(layers, chosen)
	if err != nil {
		return nil, err
	}
	c := &config{
		Server: find(layers, "server"), Currency: find(layers, "currency"), CAFile: find(layers, "ca_file"),
		Context: chosen, ContextID: id, User: find(layers, "user"), Protected: find(layers, "protected"),
		CredentialStore: find(layers, "credential_store"), CredentialCommand: find(layers, "credential_command"),
		OwnServer: find(layers, "server", fromProject).Value,
	}
	if c.Server.Value, err = client.CleanServer(c.Server.Value); err != nil {
		return nil, usagef("%s: %w", c.Server.Origin, err)
	}
	if c.Currency.Value != "" {
		currency, err := money.ParseCurrency(c.Currency.Value)
		if err != nil {
			return nil, usagef("%s: %w", c.Currency.Origin, err)
		}
		c.Currency.Value = string(currency)
	}
	if err := checkChoice(c.CredentialStore.Value, credentialStores); err != nil {
		return nil, fmt.Errorf("%s: %w", c.CredentialStore.Origin, err)
	}
	a.loaded = c
	return c, nil
}

// find returns the setting of the first place that has it, but for the places of some kinds.
func find(layers []layer, key string, but ...origin) setting {
	for _, l := range layers {
		if value := l.values[key]; value != "" && !slices.Contains(but, l.kind) {
			return setting{value, l.kind, l.name(key)}
		}
	}
	return setting{Kind: fromDefault, Origin: "default"}
}

// layers returns all places but the active context, the one that wins first.
func (a *app) layers() ([]layer, error) {
	flag := layer{fromFlag, flagName, map[string]string{"server": a.serverFlag, "ca_file": a.caFileFlag,
		"context": a.contextFlag, "credential_store": a.storeFlag}}
	environment := layer{fromEnvironment, variable, map[string]string{}}
	for _, key := range environmentSettings {
		environment.values[key] = a.env(variable(key))
	}
	layers := []layer{flag, environment}

	explicit := a.explicitConfig()
	files := []struct {
		path string
		kind origin
		must bool
	}{{projectConfig(), fromProject, false}, {a.userConfig(), fromFile, false}, {a.systemConfig(), fromFile, false}}
	if explicit != "" {
		files = files[:1]
		files[0].path, files[0].kind, files[0].must = explicit, fromFile, true
	}
	for _, file := range files {
		values, err := readConfig(file.path, settings, file.must)
		if err != nil {
			return nil, err
		}
		for key := range values {
			if file.kind == fromProject && !slices.Contains(projectSettings, key) {
				return nil, withHint(usagef("%s: %s can be set in your own configuration only, not in a directory's", file.path, key),
					"kizo help environment")
			}
		}
		layers = append(layers, layer{file.kind, func(string) string { return file.path }, values})
	}
	defaults := layer{fromDefault, func(string) string { return "default" },
		map[string]string{"server": defaultServer, "context": defaultContext, "protected": "false", "credential_store": storeFile}}
	return append(layers, defaults), nil
}

// explicitConfig returns the file that replaces all others; empty if there is none.
func (a *app) explicitConfig() string {
	if a.configFlag != "" {
		return a.configFlag
	}
	return a.env("KIZO_CONFIG")
}

// userConfig returns the user's own file; empty for a user without a home directory.
func (a *app) userConfig() string {
	dir := a.configDir()
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "config.toml")
}

// flagName returns the flag of a setting.
func flagName(key string) string { return "--" + strings.ReplaceAll(key, "_", "-") }

func variable(key string) string { return "KIZO_" + strings.ToUpper(key) }

// projectConfig returns the nearest .kizo.toml, from the working directory upwards; empty if there
// is none.
func projectConfig() string {
	dir, err := os.Getwd()
	for err == nil {
		path := filepath.Join(dir, projectConfigName)
		if _, missing := os.Stat(path); missing == nil {
			return path
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return ""
}

// parseConfig parses TOML, with or without the byte order mark that editors on Windows write.
func parseConfig(content []byte) (map[string]any, error) {
	if bytes.HasPrefix(content, []byte{0xff, 0xfe}) || bytes.HasPrefix(content, []byte{0xfe, 0xff}) {
		return nil, errors.New("it is in UTF-16: save it as UTF-8")
	}
	file := viper.New()
	file.SetConfigType("toml")
	if err := file.ReadConfig(bytes.NewReader(bytes.TrimPrefix(content, []byte("\ufeff")))); err != nil {
		return nil, err
	}
	values := map[string]any{}
	for _, key := range file.AllKeys() {
		values[key] = file.Get(key)
	}
	return values, nil
}

// readConfig reads one TOML file with some of the known settings; a missing file is empty unless it
// is required. A relative path in it is relative to the file.
func readConfig(path string, known []string, must bool) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !must {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("cannot read the configuration: %w", err)
	}
	parsed, err := parseConfig(content)
	if err != nil {
		return nil, usagef("cannot read the configuration %s: %w", path, err)
	}
	values := map[string]string{}
	for key, value := range parsed {
		if !isAliasSetting(key) && !slices.Contains(known, key) {
			err := usagef("%s: unknown setting %q; the settings are: %s", path, key, strings.Join(known, ", "))
			if strings.HasPrefix(key, payeesTable) {
				return nil, withHint(err, "kizo payees add "+strings.TrimPrefix(key, payeesTable)+" @HANDLE")
			}
			if near := nearestWord(key, known); near != "" {
				err = withHint(err, near+" in place of "+key)
			}
			return nil, err
		}
		if on, isBool := value.(bool); isBool && isSwitch(key) {
			values[key] = strconv.FormatBool(on)
			continue
		}
		text, isText := value.(string)
		if isSwitch(key) && value != "" {
			return nil, usagef("%s: %s must be true or false, without quotes", path, key)
		}
		if !isText {
			return nil, usagef("%s: %s must be a quoted string", path, key)
		}
		if text == "" {
			return nil, usagef("%s: %s is empty: give it a value, or remove the line", path, key)
		}
		values[key] = text
	}
	if file := values["ca_file"]; file != "" && !filepath.IsAbs(file) {
		values["ca_file"] = filepath.Join(filepath.Dir(path), file)
	}
	return values, nil
}
