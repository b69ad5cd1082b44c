package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// Stamped by the release build with -ldflags "-X main.version=...".
var (
	version = ""
	commit  = ""
	date    = ""
)

type versionOptions struct {
	app    *app
	output outputFlags
}

type versionInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Date    string `json:"date"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

var versionColumns = []column{{title: "VERSION"}, {title: "COMMIT"}, {title: "DATE"}, {title: "GO"}, {title: "OS"}, {title: "ARCH"}}

func newVersionCommand(a *app) *cobra.Command {
	opts := &versionOptions{app: a}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of kizo",
		Example: `  kizo version
  kizo version --json`,
		Args: takes(""),
		RunE: func(*cobra.Command, []string) error {
			if opts.output.format() == "" {
				return a.write(versionLine() + "\n")
			}
			v := currentVersion()
			return a.printOne(opts.output, v, versionColumns, []string{v.Version, v.Commit, v.Date, v.Go, v.OS, v.Arch})
		},
	}
	opts.output.addTo(cmd, a, versionInfo{}, versionColumns...)
	return cmd
}

func currentVersion() versionInfo {
	info := versionInfo{version, commit, date, runtime.Version(), runtime.GOOS, runtime.GOARCH}
	build, known := debug.ReadBuildInfo()
	if info.Version != "" || !known {
		return info
	}
	// go install and go build record the version themselves.
	info.Version = build.Main.Version
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Commit = s.Value
		case "vcs.time":
			info.Date = s.Value
		}
	}
	return info
}

func versionLine() string {
	v := currentVersion()
	line := "kizo " + v.Version
	if v.Commit != "" {
		line += fmt.Sprintf(" (%.12s, %s)", v.Commit, v.Date)
	}
	return fmt.Sprintf("%s %s %s/%s", line, v.Go, v.OS, v.Arch)
}

// userAgentHere is userAgent with the name of this computer, by which users recognize their
// sessions. Only the server of the session gets it.
func userAgentHere() string {
	const maxName = 40 // the server keeps 120 bytes of all
	host, err := os.Hostname()
	host = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_' {
			return r
		}
		return -1
	}, host)
	if err != nil || host == "" {
		return userAgent()
	}
	return strings.TrimSuffix(userAgent(), ")") + "; " + host[:min(len(host), maxName)] + ")"
}

func userAgent() string {
	v := currentVersion()
	return fmt.Sprintf("kizo/%s (%s/%s)", v.Version, v.OS, v.Arch)
}
