package main

import (
	"os/user"
	"path/filepath"
	"runtime"
)

// stateDir holds sessions and the intent log: $XDG_STATE_HOME/kizo. It is never below the working
// directory: tokens would lie there in plain text, and what is pending would look empty elsewhere.
func (a *app) stateDir() (string, error) {
	dir := a.xdg("XDG_STATE_HOME", "LocalAppData", ".local", "state")
	if dir == "" {
		return "", withHint(usagef("there is no place for sessions and for what is pending: this user has no home directory, "+
			"and neither HOME nor XDG_STATE_HOME is an absolute path"), "XDG_STATE_HOME=/a/private/directory "+a.commandLine())
	}
	return filepath.Join(dir, "kizo"), nil
}

// configDir holds the user's config.toml: $XDG_CONFIG_HOME/kizo. It is empty for a user without a home.
func (a *app) configDir() string {
	dir := a.xdg("XDG_CONFIG_HOME", "AppData", ".config")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "kizo")
}

// xdg is a directory of the XDG base directory specification, which says to ignore relative ones; empty
// if there is none.
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

// home is $HOME, or where that is not an absolute path, the home of the password database; empty if that
// has none either.
func (a *app) home() string {
	if dir := a.env("HOME"); filepath.IsAbs(dir) {
		return dir
	}
	if me, err := user.Current(); err == nil && filepath.IsAbs(me.HomeDir) {
		return me.HomeDir
	}
	return ""
}

// systemConfig is the file that an administrator writes; empty if there is no place for it.
func (a *app) systemConfig() string {
	if runtime.GOOS == "windows" {
		if dir := a.env("ProgramData"); filepath.IsAbs(dir) {
			return filepath.Join(dir, "kizo", "config.toml")
		}
		return ""
	}
	return "/etc/kizo/config.toml"
}
