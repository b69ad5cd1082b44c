//go:build unix

package main

import (
	"os"
	"path/filepath"

	"github.com/JDevAman/kizo/internal/testkit"
)

// namesCases has rows for the commands that name payees and commands.
func namesCases() map[string]outputCase {
	return map[string]outputCase{
		"kizo man":        {skip: "it writes files"},
		"kizo payees add": {silent: true, args: func(p *pairOfUsers) []string { return []string{"rent", "@" + p.bobName} }},
		"kizo payees list": {args: func(p *pairOfUsers) []string {
			p.ada.expect(exitDone, "payees", "add", "rent", "@"+p.bobName)
			return nil
		}},
		"kizo payees remove": {silent: true, args: func(p *pairOfUsers) []string {
			p.ada.expect(exitDone, "payees", "add", "rent", "@"+p.bobName)
			return []string{"rent"}
		}},
		"kizo alias set":  {silent: true, args: words("rent", "transfer @bob 800")},
		"kizo alias list": {args: func(p *pairOfUsers) []string { p.ada.expect(exitDone, "alias", "set", "rent", "balance"); return nil }},
		"kizo alias remove": {silent: true, args: func(p *pairOfUsers) []string {
			p.ada.expect(exitDone, "alias", "set", "rent", "balance")
			return []string{"rent"}
		}},
		"kizo plugins list": {args: func(p *pairOfUsers) []string {
			bin := filepath.Join(p.ada.dir, "bin")
			testkit.Must(p.ada.t, os.MkdirAll(bin, 0o700))
			testkit.Must(p.ada.t, os.WriteFile(filepath.Join(bin, "kizo-hello"), []byte("#!/bin/sh\n"), 0o700))
			p.ada.env["PATH"] = bin
			return nil
		}},
	}
}
