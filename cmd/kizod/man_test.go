package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/internal/testkit"
)

// TestManual: each command that is shown has a page, which groff renders without a warning.
func TestManual(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if code, output := run(t, nil, "man", dir); code != 0 {
		t.Fatalf("exit %d: %s", code, output)
	}
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		if cmd.Hidden {
			return
		}
		pages, err := filepath.Glob(filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".8"))
		if err != nil || len(pages) != 1 {
			t.Errorf("%s has %d pages, %v", cmd.CommandPath(), len(pages), err)
		}
		for _, below := range cmd.Commands() {
			check(below)
		}
	}
	check(root(nil, nil))
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("this system has no groff")
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.8"))
	testkit.Must(t, err)
	var text, warnings bytes.Buffer
	command := exec.CommandContext(t.Context(), groff, append([]string{"-man", "-Tutf8", "-Kutf8", "-ww"}, pages...)...)
	command.Stdout, command.Stderr = &text, &warnings
	if err := command.Run(); err != nil || warnings.Len() > 0 {
		t.Errorf("%v\n%s", err, &warnings)
	}
	testkit.Contains(t, text.String(), "kizod serve [flags]", "--ops-listen", "SIGTERM drains the server")
}
