package main

import (
	"os"
	"path/filepath"
	"runtime"
)

// stateDir holds sessions and the intent log: $XDG_STATE_HOME/kizo.
func (a *app) stateDir() string {
	return filepath.Join(a.xdg("XDG_STATE_HOME", "LocalAppData", ".local", "state"), "kizo")
}

// configDir holds the user's config.toml: $XDG_CONFIG_HOME/kizo.
func (a *app) configDir() string {
	return filepath.Join(a.xdg("XDG_CONFIG_HOME", "AppData", ".config"), "kizo")
}

// xdg is a directory of the XDG base directory specification, which says to ignore relative ones.
func (a *app) xdg(variable, windows string, fallback ...string) string {
	if dir := a.env(variable); filepath.IsAbs(dir) {
		return dir
	}
	if runtime.GOOS == "windows" {
		if dir := a.env(windows); filepath.IsAbs(dir) {
			return dir
		}
	}
	home := a.env("HOME")
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	return filepath.Join(append([]string{home}, fallback...)...)
}

// systemConfig is the file that an administrator writes.
func (a *app) systemConfig() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(a.env("ProgramData"), "kizo", "config.toml")
	}
	return "/etc/kizo/config.toml"
}
