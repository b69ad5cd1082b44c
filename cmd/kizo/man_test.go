package main

import (
	"bytes"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/internal/testkit"
)

// theCommands is the tree of commands, for tests that only read it.
func theCommands() *cobra.Command {
	return newRootCommand(&app{io: &streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}, env: func(string) string { return "" }})
}

// The order of commands and fields does not depend on that of a Go map, so that two builds of a
// release have the same bytes.
func TestManPagesAreTheSameEachTime(t *testing.T) {
	first := manualOf(theCommands()).Pages()
	for range 20 {
		for name, page := range manualOf(theCommands()).Pages() {
			if page != first[name] {
				t.Fatalf("%s differs:\n%s\n---\n%s", name, first[name], page)
			}
		}
	}
}

func TestEveryCommandHasAManPage(t *testing.T) {
	pages := manualOf(theCommands()).Pages()
	for _, cmd := range everyCommand(theCommands()) {
		if cmd.Hidden {
			continue
		}
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + map[bool]string{true: ".7", false: ".1"}[isTopic(cmd)]
		if pages[name] == "" {
			t.Errorf("%s has no page %s", cmd.CommandPath(), name)
			continue
		}
		if cmd.Example != "" {
			testkit.Contains(t, pages[name], ".SH EXAMPLES\n")
		}
	}
	for _, name := range []string{"kizo.1", "kizo-transfers-capture.1", "kizo-ops-user-freeze.1", "kizo-money.7"} {
		if pages[name] == "" {
			t.Errorf("there is no %s", name)
		}
	}
}

// TestManPagesRender renders them with the real program, which warns of every mistake.
func TestManPagesRender(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("this system has no groff")
	}
	w := newWorld(t, nil)
	w.expect(exitDone, "man", "pages")
	pages, err := filepath.Glob(filepath.Join(w.dir, "pages", "*"))
	testkit.Must(t, err)
	if want := len(slices.Collect(maps.Keys(manualOf(theCommands()).Pages()))); len(pages) != want {
		t.Errorf("%d pages, want %d", len(pages), want)
	}
	var text, warnings bytes.Buffer
	command := exec.CommandContext(t.Context(), groff, append([]string{"-man", "-Tutf8", "-Kutf8", "-ww"}, pages...)...)
	command.Stdout, command.Stderr = &text, &warnings
	if err := command.Run(); err != nil || warnings.Len() > 0 {
		t.Errorf("%v\n%s", err, &warnings)
	}
	testkit.Contains(t, text.String(), "kizo transfer TO AMOUNT", "12.50 --idempotency-key invoice-17", `{{"\n"}}`)

	if man, err := exec.LookPath("man"); err == nil {
		command := exec.CommandContext(t.Context(), man, "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", filepath.Join(w.dir, "pages", "kizo-pay.1"))
		command.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=80")
		command.Stderr = &warnings
		if err := command.Run(); err != nil || warnings.Len() > 0 {
			t.Errorf("%v\n%s", err, &warnings)
		}
	}
}
