package main

import (
	"os/user"
	"path/filepath"
	"runtime"
)

// stateRoot returns the directory of everything that kizo keeps: $XDG_STATE_HOME/kizo. It is never
// below the working directory: tokens would be stored there in plain text, and pending commands
// would not be found from elsewhere.
func (a *app) stateRoot() (string, error) {
	dir := a.xdg("XDG_STATE_HOME", "LocalAppData", ".local", "state")
	if dir == "" {
		return "", withHint(usagef("cannot locate the state directory: this user has no home directory, "+
			"and neither HOME nor XDG_STATE_HOME is an absolute path"), "XDG_STATE_HOME=/a/private/directory "+a.commandLine())
	}
	return filepath.Join(dir, "kizo"), nil
}

// configDir returns the directory of the user's config.toml: $XDG_CONFIG_HOME/kizo. It is empty for
// a user without a home directory.
func (a *app) configDir() string {
	dir := a.xdg("XDG_CONFIG_HOME", "AppData", ".config")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "kizo")
}

// xdg returns a directory of the XDG base directory specification, which says to ignore relative
// ones; empty if there is none.
func (a *app) xdg(variable, windows string, fallback ...string) string {
	if dir := a.env(variable); filepath.IsAbs(dir) {
		return dir
	}
	if runtime.GOOS == "windows" {
		if dir := a.env(windows); filepath.IsAbs(dir) {
			return dir
		}
	}
	home := a.home()
	if home == "" {
		return ""
	}
	return filepath.Join(append([]string{home}, fallback...)...)
}

// home returns $HOME, or if that is not an absolute path, the home directory of the password
// database; empty if that has none either.
func (a *app) home() string {
	if dir := a.env("HOME"); filepath.IsAbs(dir) {
		return dir
	}
	if me, err := user.Current(); err == nil && filepath.IsAbs(me.HomeDir) {
		return me.HomeDir
	}
	return ""
}

// systemConfig returns the path of the administrator's file; empty if the system has no such path.
func (a *app) systemConfig() string {
	if runtime.GOOS == "windows" {
		if dir := a.env("ProgramData"); filepath.IsAbs(dir) {
			return filepath.Join(dir, "kizo", "config.toml")
		}
		return ""
	}
	return "/etc/kizo/config.toml"
}
