package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

func newConfigSetCommand(a *app) *cobra.Command {
	flags := &outputFlags{}
	cmd := &cobra.Command{
		Use:   "set SETTING VALUE",
		Short: "Write a setting into your configuration file",
		Long: `Write a setting into your configuration file, kizo/config.toml in $XDG_CONFIG_HOME (~/.config), or into the
file of --config. With --context NAME, write it into that context. The rest of the file stays as it is.

If you have several wallets, currency is the default for amounts without a currency.`,
		Example: `  kizo config set currency EUR
  kizo config set server https://kizo.example`,
		Args: takes("SETTING VALUE"),
		RunE: func(_ *cobra.Command, args []string) error {
			value, err := a.checkSetting(args[0], args[1])
			if err != nil {
				return err
			}
			return configWrite(a, *flags, args[0], value)
		},
	}
	flags.addTo(cmd, a, configEntry{}, configColumns...)
	return cmd
}

func newConfigUnsetCommand(a *app) *cobra.Command {
	flags := &outputFlags{}
	cmd := &cobra.Command{
		Use:     "unset SETTING",
		Short:   "Remove a setting from your configuration file",
		Example: "  kizo config unset currency",
		Args:    takes("SETTING"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkChoice(args[0], settings); err != nil {
				return err
			}
			return configWrite(a, *flags, args[0], "")
		},
	}
	flags.addTo(cmd, a, configEntry{}, configColumns...)
	return cmd
}

// checkSetting returns the form in which a value is stored.
func (a *app) checkSetting(key, value string) (string, error) {
	if err := checkChoice(key, settings); err != nil {
		return "", err
	}
	switch key {
	case "currency":
		currency, err := parseCurrency(value)
		return string(currency), err
	case "server":
		server, err := client.CleanServer(value)
		if err != nil {
			return "", usage(err)
		}
		return server, nil
	case "ca_file":
		path, err := filepath.Abs(value)
		if err != nil {
			return "", err
		}
		if _, err := authorities(path); err != nil {
			return "", usage(err)
		}
		return path, nil
	case "context":
		if value == defaultContext {
			return value, nil
		}
		_, err := a.readContext(value)
		return value, err
	case "user":
		handle := strings.ToLower(strings.TrimPrefix(value, "@"))
		if !handleForm.MatchString(handle) {
			return "", usagef("%s is not a handle, such as ada", shortened(value))
		}
		return handle, nil
	case "credential_store":
		return value, checkChoice(value, credentialStores)
	case "credential_command":
		return value, checkCredentialCommand(value)
	case "protected":
		return value, checkChoice(value, []string{"true", "false"})
	}
	return value, nil
}

// configToWrite returns the file that a command changes: the context that --context names, or the
// user's own.
func (a *app) configToWrite(key string) (string, error) {
	if name := a.contextFlag; name != "" && name != defaultContext {
		if !slices.Contains(contextSettings, key) {
			return "", usagef("a context has no setting %s", key)
		}
		_, err := a.readContext(name)
		return a.contextPath(name), err
	}
	path := a.explicitConfig()
	if path == "" {
		path = a.userConfig()
	}
	if path == "" {
		return "", withHint(usagef("cannot locate your configuration: this user has no home directory"),
			"XDG_CONFIG_HOME=/a/private/directory "+a.commandLine())
	}
	return path, nil
}

// configWrite stores a setting, or removes it if value is empty. It prints which file contains it
// now and which value is effective.
func configWrite(a *app, flags outputFlags, key, value string) error {
	path, err := a.configToWrite(key)
	if err != nil {
		return err
	}
	if key == "server" && value == "" && a.contextFlag != "" && a.contextFlag != defaultContext {
		return usagef("a context needs a server")
	}
	if err := editConfig(path, key, value); err != nil {
		return err
	}
	now, err := a.config()
	if err != nil {
		return err
	}
	inForce := now.of(key)
	entry := configEntry{key, inForce.Value, inForce.Origin}
	return a.printDone(flags, entry, []string{entry.Key, entry.Value, entry.Origin}, func() {
		if value == "" {
			a.io.note("%s no longer sets %s.", printable.Text(path), key)
		} else {
			a.io.note("%s sets %s to %s.", printable.Text(path), key, printable.Text(value))
		}
		if inForce.Value != value && inForce.Kind != fromDefault {
			a.io.note("%s overrides it here, from %s.", printable.Text(inForce.Value), printable.Text(inForce.Origin))
		}
	})
}

// editConfig changes one line of text of a configuration file.
func editConfig(path, key, value string) error {
	if _, err := readConfig(path, slices.Concat(settings, contextSettings), false); err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	edited, err := withSetting(string(text), key, value)
	if err != nil || edited == string(text) {
		return err
	}
	return replaceConfig(path, []byte(edited))
}

// replaceConfig replaces the text of a configuration file. It keeps the permissions of the file and
// a symbolic link to it.
func replaceConfig(path string, text []byte) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	mode := fs.FileMode(0o600)
	info, err := os.Stat(path)
	switch {
	case err == nil:
		mode = info.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	reserved, err := reserve(path, len(text))
	if err != nil {
		return err
	}
	defer reserved.release()
	if err := reserved.file.Chmod(mode); err != nil {
		return err
	}
	return reserved.commit(text)
}
